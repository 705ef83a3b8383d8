import { expect, test } from 'vitest';
import type { Answer, Series } from './answer';
import { Gather } from './gather';

const series = (name: string, values: number[], partial = false, tags: Record<string, string> = {}): Series => ({
  name,
  tags,
  columns: ['v'],
  rows: values.map((value) => [value]),
  partial,
});

const answer = (statement_id: number, ...all: Series[]): Answer => ({
  results: [{ statement_id, series: all, messages: [] }],
});

test('a series cut by chunks is one again', () => {
  const gather = new Gather();
  gather.add(answer(0, series('a', [1]), series('b', [2], true)));
  gather.add(answer(0, series('b', [3], true)));
  gather.add(answer(0, series('b', [4]), series('c', [5])));
  expect(gather.results).toEqual([
    { statement_id: 0, messages: [], series: [series('a', [1]), series('b', [2, 3, 4]), series('c', [5])] },
  ]);
  expect(gather.rows).toBe(5);
});

test('two series of one name stay two', () => {
  const gather = new Gather();
  gather.add(answer(0, series('a', [1], true, { host: 'x' })));
  gather.add(answer(0, series('a', [2], false, { host: 'y' })));
  gather.add(answer(0, series('a', [3], false, { host: 'y' })));
  expect(gather.results[0]?.series.map((one) => one.rows.length)).toEqual([1, 1, 1]);
});

test('statements stay apart, and a late error is kept', () => {
  const gather = new Gather();
  gather.add(answer(0, series('a', [1], true)));
  gather.add({ results: [{ statement_id: 0, series: [], messages: [], error: 'timeout' }] });
  gather.add(answer(1, series('a', [2])));
  expect(gather.results.map((result) => [result.statement_id, result.series.length, result.error])).toEqual([
    [0, 1, 'timeout'],
    [1, 1, undefined],
  ]);
});

test('rows past the bound are dropped and told', () => {
  const gather = new Gather(3);
  gather.add(answer(0, series('a', [1, 2, 3])));
  expect(gather.full).toBe(false);
  gather.add(answer(0, series('b', [4])));
  expect([gather.full, gather.rows]).toEqual([true, 3]);
  gather.add(answer(0, series('c', [5])));
  expect(gather.results[0]?.series.map((one) => one.name)).toEqual(['a', 'b']);
});

test('cells are bounded too', () => {
  const gather = new Gather(100, 4);
  const wide: Series = {
    name: 'w',
    tags: {},
    columns: ['a', 'b'],
    rows: [
      [1, 2],
      [3, 4],
      [5, 6],
    ],
    partial: false,
  };
  gather.add(answer(0, wide));
  expect([gather.full, gather.rows]).toEqual([true, 2]);
});
