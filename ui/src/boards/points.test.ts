import { expect, test } from 'vitest';
import type { Series } from '../api/answer';
import { LINES_MAX, lonely, pointsOf, type Value } from './points';

const series = (host: string, rows: Series['rows']): Series => ({
  name: 'cpu',
  tags: { host },
  columns: ['time', 'busy', 'text'],
  rows,
  partial: false,
});

test('series of different times share one axis', () => {
  const points = pointsOf(
    [
      series('a', [
        ['1970-01-01T00:00:10Z', 1, 'x'],
        ['1970-01-01T00:00:30Z', null, 'x'],
      ]),
      series('b', [['1970-01-01T00:00:20.5Z', 7n, null]]),
    ],
    (one) => one.tags['host'] ?? '',
    2,
  );
  expect(points).toEqual({
    times: [10, 20.5, 30],
    lines: [
      { label: 'a', values: [2, undefined, undefined] },
      { label: 'b', values: [undefined, 14, undefined] },
    ],
    left: 0,
  });
});

test('what is no number over time is no line', () => {
  const names: Series = { name: 'n', tags: {}, columns: ['name'], rows: [['a']], partial: false };
  expect(pointsOf([names, series('a', [['no time', 1, 'x']])]).times).toEqual([]);
});

test('lines beyond the bound are counted', () => {
  const many = Array.from({ length: LINES_MAX + 3 }, (_, at) => series(`${at}`, [['1970-01-01T00:00:10Z', at, '']]));
  const points = pointsOf(many);
  expect([points.lines.length, points.left]).toEqual([LINES_MAX, 3]);
  expect(points.lines[0]?.label).toBe('cpu host=0 busy');
});

/** The values of a line with those rows: seconds and what stands there. */
function valuesOf(...rows: [number, number | null][]): [number[], Value[]] {
  const one: Series = { name: 'x', tags: {}, columns: ['time', 'v'], rows: rows.map(([s, value]) => [new Date(s * 1_000).toISOString(), value]), partial: false };
  const { times, lines } = pointsOf([one]);
  return [times, lines[0]?.values ?? []];
}

/** Rows of windows of ten seconds, with a value where `has` says so. */
const windows = (count: number, has: (s: number) => boolean): [number, number | null][] =>
  Array.from({ length: count }, (_, at) => [at * 10, has(at * 10) ? 1 : null]);

test('a line goes on where its data come more seldom than its windows', () => {
  for (const every_s of [10, 15, 20, 30, 60]) {
    const [, values] = valuesOf(...windows(31, (s) => s % every_s < 10));
    expect(values.includes(null), `data every ${every_s} s`).toBe(false);
    expect(values.filter((value) => value === 1).length, `data every ${every_s} s`).toBeGreaterThan(4);
    expect(lonely(values)).toEqual([]);
  }
});

test('a line is broken where nothing came', () => {
  for (const [every_s, silent_s] of [
    [10, 20],
    [60, 240],
  ] as const) {
    const [times, values] = valuesOf(...windows(61, (s) => s % every_s === 0 && (s <= 240 || s >= 240 + silent_s)));
    const broken = times.filter((_, at) => values[at] === null);
    expect([broken[0], broken.at(-1)], `data every ${every_s} s`).toEqual([250, 240 + silent_s - 10]);
  }
});

test('a line is broken where rows are missing, too', () => {
  const [times, values] = valuesOf([0, 1], [10, 2], [20, 3], [100, 4], [110, 5], [120, 6]);
  expect(times).toEqual([0, 10, 20, 60, 100, 110, 120]);
  expect(values).toEqual([1, 2, 3, null, 4, 5, 6]);
});

test('a silent host breaks its own line and no other', () => {
  const line = (host: string, rows: [number, number | null][]): Series => ({
    ...series(host, []),
    columns: ['time', 'v'],
    rows: rows.map(([s, value]) => [new Date(s * 1_000).toISOString(), value]),
  });
  const all = windows(31, () => true);
  const { lines } = pointsOf([line('a', all), line('b', windows(31, (s) => s < 100 || s > 200))]);
  expect(lines.map(({ values }) => values.filter((value) => value === null).length)).toEqual([0, 11]);
});

test('what no line leads to is a point', () => {
  expect(lonely([])).toEqual([]);
  expect(lonely([1])).toEqual([0]);
  expect(lonely([undefined, 1, undefined])).toEqual([1]);
  expect(lonely([1, null, 2, undefined, 3, null, 4])).toEqual([0, 6]);
  expect(lonely([1, 2, null, null, 3, null])).toEqual([4]);
});
