import { expect, test } from 'vitest';
import { cutError, errorOffset, networkError, serverError, statusError } from './failure';

test('the error text of the store is shown as it is', () => {
  const failure = statusError(
    400,
    'Bad Request',
    '{"error":"error parsing query: found FROM, expected identifier at line 1, char 8"}\n',
  );
  expect(failure.title).toBe('Server returned error 400');
  expect(failure.detail).toBe('error parsing query: found FROM, expected identifier at line 1, char 8');
  expect(failure.hint).toMatch(/mark/);
});

test('a body that is not of the store is shown as plain text, bounded', () => {
  const page = '<html><head><title>502</title></head><body><h1>Bad Gateway</h1>\n<hr>nginx</body></html>';
  expect(statusError(502, 'Bad Gateway', page)).toEqual({
    title: 'Server returned error 502',
    detail: 'Bad Gateway nginx',
    status: 502,
    hint: 'A proxy answered in place of the store: is the store running?',
  });
  expect(statusError(500, 'Internal Server Error', 'x'.repeat(10_000)).detail.length).toBeLessThan(500);
  expect(statusError(503, 'Service Unavailable', '').detail).toBe('Service Unavailable');
  expect(statusError(500, '', '{"error":7}').detail).toBe('{"error":7}');
  expect(statusError(500, '', '').detail).toBe('no further text');
});

test('what to do next is said where it is known', () => {
  expect(serverError('database not found: x').hint).toMatch(/data source/);
  expect(serverError('database name required').hint).toMatch(/data source/);
  expect(statusError(403, '', '{"error":"error authorizing query"}').hint).toMatch(/GRANT/);
  expect(serverError('division by zero').hint).toBeUndefined();
  expect(networkError('h:8083').title).toContain('h:8083');
  expect(cutError(0).detail).not.toBe(cutError(1).detail);
});

test('the place of a parse error', () => {
  expect(errorOffset('found FROM, expected x at line 1, char 8', 'select from a')).toBe(7);
  expect(errorOffset('found EOF, expected x at line 1, char 0', 'x')).toBe(0);
  expect(errorOffset('found a, expected x at line 2, char 3', 'one\ntwo a')).toBe(6);
  expect(errorOffset('found EOF, expected x at line 9, char 3', 'one')).toBe(3);
  expect(errorOffset('timeout', 'x')).toBeUndefined();
});
