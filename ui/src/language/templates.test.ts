import { expect, test } from 'vitest';
import { lastPoints } from './quote';
import { fill, TEMPLATES } from './templates';

test('a template is filled and its first blank found', () => {
  expect(fill('SHOW TAG KEYS FROM "«m»" WITH "«n»"')).toEqual({
    text: 'SHOW TAG KEYS FROM "m" WITH "n"',
    start: 20,
    end: 21,
  });
  expect(fill('SHOW USERS')).toEqual({ text: 'SHOW USERS', start: 10, end: 10 });
});

test('every blank has both its marks', () => {
  for (const { text } of TEMPLATES.flatMap(([, templates]) => templates)) {
    expect(text.replace(/«[^«»]+»/g, ''), text).not.toMatch(/[«»]/);
  }
});

test('the last points of a measurement, quoted where it must be', () => {
  expect(lastPoints('cpu')).toBe('select * from cpu order by time desc limit 100');
  expect(lastPoints('my cpu')).toBe('select * from "my cpu" order by time desc limit 100');
  expect(lastPoints('Group')).toBe('select * from "Group" order by time desc limit 100');
  expect(lastPoints('a"b\\c')).toBe('select * from "a\\"b\\\\c" order by time desc limit 100');
});
