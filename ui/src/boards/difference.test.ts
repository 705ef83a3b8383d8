import { expect, test } from 'vitest';
import { compare, comparedRange, countsOf } from './difference';

const series = (name: string, ...counts: (number | null)[]) => ({ name, tags: {}, columns: [], rows: [['t', ...counts]], partial: false });

test('stores with the same counts are equal', () => {
  const here = countsOf([series('cpu', 10, 20), series('mem', 5, null)]);
  expect(compare(here, new Map(here))).toEqual({ values: 35, differences: [] });
});

test('what differs is named, also where one has nothing', () => {
  const here = countsOf([series('cpu', 10), series('only here', 1)]);
  const there = countsOf([series('cpu', 9), series('only there', 2)]);
  expect(compare(here, there).differences).toEqual([
    { name: 'cpu', here: 10, there: 9 },
    { name: 'only here', here: 1, there: 0 },
    { name: 'only there', here: 0, there: 2 },
  ]);
});

test('the range is settled and of whole windows', () => {
  const { from_ms, to_ms } = comparedRange(1_000_007_777);
  expect([from_ms % 10_000, to_ms % 10_000]).toEqual([0, 0]);
  expect(to_ms).toBeLessThanOrEqual(1_000_007_777 - 20_000);
});
