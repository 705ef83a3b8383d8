import { expect, test } from 'vitest';
import { readAnswer } from './answer';

test('rows, tags and remarks are read', () => {
  const text =
    '{"results":[{"statement_id":1,"messages":[{"level":"warning","text":"deprecated"}],"series":[{"name":"cpu","tags":{"host":""},' +
    '"columns":["time","v"],"values":[["2026-01-01T00:00:00Z",9223372036854775807],["2026-01-01T00:00:01Z",null]],"partial":true}]}]}';
  expect(readAnswer(text)).toEqual({
    results: [
      {
        statement_id: 1,
        messages: [{ level: 'warning', text: 'deprecated' }],
        series: [
          {
            name: 'cpu',
            tags: { host: '' },
            columns: ['time', 'v'],
            rows: [
              ['2026-01-01T00:00:00Z', 9223372036854775807n],
              ['2026-01-01T00:00:01Z', null],
            ],
            partial: true,
          },
        ],
      },
    ],
  });
});

test('a tag named like the mark of a long number stays a tag', () => {
  const text = '{"results":[{"series":[{"tags":{"whole":"1234567890123456789"},"columns":["v"],"values":[[1]]}]}]}';
  expect(readAnswer(text).results[0]?.series[0]?.tags).toEqual({ whole: '1234567890123456789' });
});

test('errors of a statement and of the whole query', () => {
  expect(readAnswer('{"results":[{"statement_id":0,"error":"database not found: x"}]}').results[0]?.error).toBe(
    'database not found: x',
  );
  expect(readAnswer('{"error":"json: unsupported value: +Inf"}')).toEqual({
    results: [],
    error: 'json: unsupported value: +Inf',
  });
});

test('missing and wrong members count as empty', () => {
  const nothing = { statement_id: 0, messages: [], series: [] };
  expect(readAnswer('{}')).toEqual({ results: [] });
  expect(readAnswer('[]')).toEqual({ results: [] });
  expect(readAnswer('null')).toEqual({ results: [] });
  expect(readAnswer('{"results":[null,7,{"series":{}}]}')).toEqual({ results: [nothing, nothing, nothing] });
  expect(readAnswer('{"results":[{"series":[{"values":[1,{}]}]}]}').results[0]?.series[0]?.rows).toEqual([[], []]);
});
