import { expect, test } from 'vitest';
import { cellText, count, duration, isNumber, nanoseconds } from './format';

test('cells read as the store wrote them', () => {
  expect([1, -0, 1.5e-9, 1e21, 9223372036854775807n, true, 'a', '', null].map(cellText)).toEqual([
    '1',
    '-0',
    '1.5e-9',
    '1e+21',
    '9223372036854775807',
    'true',
    'a',
    '',
    '',
  ]);
});

test('numbers are told from texts that look like them', () => {
  expect([1, 1n, '1', true, null].map(isNumber)).toEqual([true, true, false, false, false]);
});

test('times give their exact nanoseconds', () => {
  expect(nanoseconds('1970-01-01T00:00:01.000000001Z')).toBe(1_000_000_001n);
  expect(nanoseconds('2026-11-22T22:34:44.70487366Z')).toBe(1_795_386_884_704_873_660n);
  expect(nanoseconds('1677-09-21T00:12:43.145224194Z')).toBe(-9_223_372_036_854_775_806n);
  expect(nanoseconds('2262-04-11T23:47:16.854775806Z')).toBe(9_223_372_036_854_775_806n);
  expect(nanoseconds('2026-11-23T00:34:44+02:00')).toBe(1_795_386_884_000_000_000n);
});

test('other texts are no times', () => {
  for (const text of ['', 'cpu', '2026-11-22', '2026-99-99T00:00:00Z', '2026-11-22T22:34:44', '12345']) {
    expect(nanoseconds(text), text).toBeUndefined();
  }
});

test('counts and durations', () => {
  expect([count(0, 'row'), count(1, 'row'), count(50_000, 'row')]).toEqual(['0 rows', '1 row', '50,000 rows']);
  expect([0.42, 9.94, 12.4, 999, 1_234, 61_500].map(duration)).toEqual([
    '0.4 ms',
    '9.9 ms',
    '12 ms',
    '999 ms',
    '1.23 s',
    '1 min 1 s',
  ]);
});
