import { expect, test } from 'vitest';
import { changes, holdsSecret, statements } from './statement';

test('statements end at semicolons outside quotes and comments', () => {
  expect(statements(`a; b ;; `)).toEqual(['a', 'b']);
  expect(statements(`select ';' from "a;b"; c`)).toEqual([`select ';' from "a;b"`, 'c']);
  expect(statements(`select 'it\\'s;' from a; b`)).toEqual([`select 'it\\'s;' from a`, 'b']);
  expect(statements('a -- ; no end\n; /* ; */ b')).toEqual(['a -- ; no end', '/* ; */ b']);
  expect(statements(`select a - b / c; d`)).toEqual(['select a - b / c', 'd']);
  expect(statements(`'never closed; x`)).toEqual([`'never closed; x`]);
  expect(statements('')).toEqual([]);
});

test('what changes something', () => {
  for (const text of [
    'CREATE DATABASE x',
    'drop measurement cpu',
    'ALTER RETENTION POLICY a ON b DEFAULT',
    'DELETE FROM cpu',
    'Grant ALL TO x',
    'REVOKE ALL FROM x',
    `SET PASSWORD FOR x = 'y'`,
    'KILL QUERY 7',
    'select mean(a) into b from c',
    'show databases; drop database x',
    '-- tidy up\ndrop database x',
    '/* a */ drop database x',
  ]) {
    expect(changes(text), text).toBe(true);
  }
  for (const text of [
    'select * from cpu',
    'SHOW GRANTS FOR x',
    `select "into" from a where b = 'drop into'`,
    'select a from b -- into c',
    'explain select a from b',
    '"drop"',
    'dropped',
    '',
  ]) {
    expect(changes(text), text).toBe(false);
  }
});

test('what holds a password', () => {
  expect(holdsSecret(`CREATE USER "x" WITH PASSWORD 'y'`)).toBe(true);
  expect(holdsSecret(`set password for "x" = 'y'`)).toBe(true);
  expect(holdsSecret(`select "password" from a`)).toBe(false);
});
