import { expect, test } from 'vitest';
import { ENTRIES_MAX, ENTRY_CHARS_MAX, History } from './history';

test('Up and Down walk, and what was being typed comes back', () => {
  const history = new History();
  history.push('a');
  history.push('b');
  expect([history.up('draft'), history.up('b'), history.up('a')]).toEqual(['b', 'a', undefined]);
  expect([history.down(), history.down(), history.down()]).toEqual(['b', 'draft', undefined]);
});

test('an empty history stays still', () => {
  const history = new History();
  expect([history.up('x'), history.down()]).toEqual([undefined, undefined]);
});

test('repeats, empty and endless texts are not noted', () => {
  const history = new History();
  for (const text of ['a', 'a', ' ', 'x'.repeat(ENTRY_CHARS_MAX + 1)]) history.push(text);
  expect(JSON.parse(history.toJson())).toEqual(['a']);
});

test('the oldest entries go', () => {
  const history = new History();
  for (let at = 0; at < ENTRIES_MAX + 5; at += 1) history.push(`q${at}`);
  const kept = JSON.parse(history.toJson()) as string[];
  expect([kept.length, kept[0]]).toEqual([ENTRIES_MAX, 'q5']);
});

test('passwords are never written out, though Up finds them', () => {
  const history = new History();
  history.push('SHOW USERS');
  history.push(`CREATE USER a WITH PASSWORD 'secret'`);
  expect(history.toJson()).not.toContain('secret');
  expect(history.up('')).toContain('secret');
});

test('what was kept is taken up, and rubbish is not', () => {
  expect(new History('["a","b"]').up('')).toBe('b');
  expect(new History('["a",7,null]').up('')).toBe('a');
  for (const json of ['', 'x', '{}', 'null', '7']) expect(new History(json).up(''), json).toBeUndefined();
});
