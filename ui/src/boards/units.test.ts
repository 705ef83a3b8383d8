import { expect, test } from 'vitest';
import { age, inUnit } from './units';

test('numbers keep three digits', () => {
  expect(inUnit(12.345, 'percent')).toBe('12.3 %');
  expect(inUnit(1_536, 'bytes')).toBe('1.50 KiB');
  expect(inUnit(-3 * 2 ** 30, 'bytes/s')).toBe('-3 GiB/s');
  expect(inUnit(1_234, 'per second')).toBe('1.23 k/s');
  expect(inUnit(0, 'plain')).toBe('0');
  expect(inUnit(null, 'plain')).toBe('–');
});

test('durations have two units', () => {
  expect(age(0.2)).toBe('0 s');
  expect(age(75)).toBe('1 min 15 s');
  expect(age(7_200)).toBe('2 h');
  expect(age(200_000)).toBe('2 d 7 h');
});
