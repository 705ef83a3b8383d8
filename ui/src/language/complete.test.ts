import { expect, test } from 'vitest';
import { fits, placeAt } from './complete';

/** The place of `|` in a text. */
const at = (text: string) => placeAt(text.replace('|', ''), text.indexOf('|'));

test('a statement begins with its verb', () => {
  expect(at('|').keywords[0]).toBe('SELECT');
  expect(at('SH|')).toMatchObject({ from: 0, wants: ['keyword'] });
  expect(at('SHOW DATABASES; s|')).toMatchObject({ from: 16, wants: ['keyword'] });
  expect(at('show |').keywords[0]).toBe('MEASUREMENTS');
});

test('names are offered where they stand', () => {
  expect(at('select * from |').wants).toEqual(['measurement']);
  expect(at('select * from "my c|').wants).toEqual(['measurement']);
  expect(at('select * from "my c|')).toMatchObject({ from: 14, quote: '"' });
  expect(at('select | from cpu')).toMatchObject({ wants: ['field', 'function', 'tag'], measurement: 'cpu' });
  expect(at('select mean(us|) from "a"."b"."my cpu"')).toMatchObject({ from: 12, measurement: 'my cpu' });
  expect(at('select mean(x), | from telegraf..cpu')).toMatchObject({ measurement: 'cpu', wants: ['field', 'function', 'tag'] });
  expect(at('select x from cpu where |').wants).toEqual(['tag', 'field', 'keyword']);
  expect(at('select x from cpu where a = 1 and |').wants).toEqual(['tag', 'field', 'keyword']);
  expect(at('select x from cpu where host = |')).toMatchObject({ wants: ['value'], tag: 'host', measurement: 'cpu' });
  expect(at(`select x from cpu where "my host" = 'a|`)).toMatchObject({ wants: ['value'], tag: 'my host', quote: "'" });
  expect(at('select x from cpu group by |').wants).toEqual(['tag', 'function', 'keyword']);
  expect(at('show tag values from cpu with key = |')).toMatchObject({ wants: ['tag'], measurement: 'cpu' });
  expect(at('show measurements on |').wants).toEqual(['database']);
  expect(at('drop database |').wants).toEqual(['database']);
  expect(at('create database |').wants).not.toContain('database');
});

test('keywords follow what is complete', () => {
  expect(at('select x from cpu |').keywords).toContain('WHERE');
  expect(at('select x from cpu where a = 1 |').keywords).toContain('GROUP BY');
  expect(at('select x from cpu group by time(1m) |').keywords).toContain('FILL(');
  expect(at('select x |').keywords).toContain('FROM');
});

test('nothing is offered in comments, regular expressions and texts of other things', () => {
  expect(at('select x -- fr|om').wants).toEqual([]);
  expect(at('select x from /a|b/').wants).toEqual([]);
  expect(at("select x from cpu where a =~ 'b|").wants).toEqual([]);
});

test('the other statements of a text have no say', () => {
  expect(at('select a from b; select | from c')).toMatchObject({ measurement: 'c' });
  expect(at('select |; select a from b').measurement).toBeUndefined();
});

test('an offer fits by the beginning of any of its words', () => {
  expect(fits('usage_user', 'us')).toBe(true);
  expect(fits('usage_user', 'USER')).toBe(true);
  expect(fits('usage_user', 'ser')).toBe(false);
});
