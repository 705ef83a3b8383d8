import { expect, test } from 'vitest';
import { csvOf } from './csv';

test('a series as CSV', () => {
  const series = {
    name: 'a "b"',
    tags: { host: 'x,y' },
    columns: ['time', 'v', 'w'],
    rows: [
      ['2026-01-01T00:00:00Z', 9007199254740993n, null],
      ['2026-01-01T00:00:01Z', -0, 'two\nlines'],
    ],
    partial: false,
  };
  expect(csvOf(series)).toBe(
    'name,host,time,v,w\r\n' +
      '"a ""b""","x,y",2026-01-01T00:00:00Z,9007199254740993,\r\n' +
      '"a ""b""","x,y",2026-01-01T00:00:01Z,-0,"two\nlines"\r\n',
  );
});
