import { expect, test } from 'vitest';
import { sorted, turned } from './sort';

const column = (values: (string | number | bigint | boolean | null)[], descending = false) =>
  sorted(
    values.map((value) => [value]),
    { column: 0, descending },
  ).map(([value]) => value);

test('rows are put in order, and nothing comes last', () => {
  expect(column([3, null, 1, 2])).toEqual([1, 2, 3, null]);
  expect(column([3, null, 1, 2], true)).toEqual([3, 2, 1, null]);
  expect(column([10, 9007199254740993n, 2.5])).toEqual([2.5, 10, 9007199254740993n]);
  expect(column(['cpu10', 'cpu9', ''])).toEqual(['', 'cpu9', 'cpu10']);
  expect(column([true, false])).toEqual([false, true]);
  expect(column(['2026-01-01T00:00:01.5Z', '2026-01-01T00:00:01Z'])).toEqual(['2026-01-01T00:00:01Z', '2026-01-01T00:00:01.5Z']);
});

test('a head is pressed up, down, and back', () => {
  const up = turned(undefined, 1);
  expect(up).toEqual({ column: 1, descending: false });
  expect(turned(up, 1)).toEqual({ column: 1, descending: true });
  expect(turned({ column: 1, descending: true }, 1)).toBeUndefined();
  expect(turned(up, 2)).toEqual({ column: 2, descending: false });
});
