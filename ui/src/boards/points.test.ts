import { expect, test } from 'vitest';
import type { Series } from '../api/answer';
import { LINES_MAX, pointsOf } from './points';

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
      { label: 'a', values: [2, null, null] },
      { label: 'b', values: [null, 14, null] },
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
