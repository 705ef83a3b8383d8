import { expect, test } from 'vitest';
import { Rates } from './rates';

const counts = (n: number) => new Map([['a', n]]);

test('a rate is what was counted over the last looks', () => {
  const rates = new Rates();
  expect(rates.of('a')).toBeNull();
  rates.add(0, counts(100));
  expect(rates.of('a')).toBeNull();
  rates.add(2_000, counts(140));
  expect(rates.of('a')).toBe(20);
  rates.add(20_000, counts(140));
  rates.add(22_000, counts(150));
  expect(rates.of('a')).toBe(5);
  expect(rates.of('b')).toBeNull();
});

test('a counter that began anew gives no negative rate', () => {
  const rates = new Rates();
  rates.add(0, counts(1_000));
  rates.add(2_000, counts(10));
  expect(rates.of('a')).toBeNull();
  rates.add(4_000, counts(30));
  expect(rates.of('a')).toBe(10);
});
