import { expect, test } from 'vitest';
import { exactCell, parseExact } from './exact';

const cell = (text: string): unknown => exactCell((parseExact(`[${text}]`) as unknown[])[0]);

test('whole numbers of 64 bits stay exact', () => {
  expect(cell('9223372036854775807')).toBe(9223372036854775807n);
  expect(cell('-9223372036854775808')).toBe(-9223372036854775808n);
  expect(cell('18446744073709551615')).toBe(18446744073709551615n);
  expect(cell('9007199254740993')).toBe(9007199254740993n);
  expect(cell('123456789012345')).toBe(123456789012345);
});

test('floats are numbers, however many digits they have', () => {
  expect(cell('0.12345678901234567')).toBe(0.12345678901234567);
  expect(cell('1234567890123456.5')).toBe(1234567890123456.5);
  expect(cell('-1.5e-9')).toBe(-1.5e-9);
  expect(cell('1234567890123456e2')).toBe(1234567890123456e2);
});

test('digits within text are text', () => {
  expect(cell('"9223372036854775807"')).toBe('9223372036854775807');
  expect(cell('"a \\" 9223372036854775807 \\\\"')).toBe('a " 9223372036854775807 \\');
  expect(parseExact('{"9223372036854775807":"x"}')).toEqual({ '9223372036854775807': 'x' });
});

test('what is not JSON is refused, with long digits too', () => {
  expect(() => parseExact('')).toThrow(SyntaxError);
  expect(() => parseExact('[1234567890123456789')).toThrow(SyntaxError);
  expect(() => parseExact('<html>1234567890123456789</html>')).toThrow(SyntaxError);
});

test('a cell of a kind that no store sends is shown as its JSON', () => {
  expect(exactCell({ a: 1 })).toBe('{"a":1}');
  expect(exactCell({ whole: 'no number' })).toBe('{"whole":"no number"}');
  expect(exactCell(undefined)).toBe(null);
});
