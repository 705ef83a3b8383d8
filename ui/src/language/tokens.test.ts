import { expect, test } from 'vitest';
import { tokens } from './tokens';

const kinds = (text: string) => tokens(text).map((token) => `${token.kind}:${token.text}`);

test('a query is taken apart', () => {
  expect(kinds(`SELECT mean("a b") FROM cpu WHERE x != 'it\\'s' AND y =~ /a\\/b/ -- end`)).toEqual([
    'keyword:SELECT', 'function:mean', 'sign:(', 'name:"a b"', 'sign:)', 'keyword:FROM', 'word:cpu', 'keyword:WHERE', 'word:x',
    'sign:!=', `text:'it\\'s'`, 'keyword:AND', 'word:y', 'sign:=~', 'regex:/a\\/b/', 'comment:-- end',
  ]);
  expect(kinds('a / b / 2.5')).toEqual(['word:a', 'sign:/', 'word:b', 'sign:/', 'number:2.5']);
  expect(kinds('now() - 15m')).toEqual(['function:now', 'sign:(', 'sign:)', 'sign:-', 'number:15m']);
});

test('what is not closed ends with the text, and nothing is lost', () => {
  for (const text of [`'open`, '"open', '/* open', 'x =~ /open', '\\', '"a\nb', 'é "ü"']) {
    const found = tokens(text);
    expect(found.map((token) => token.text).join('').replace(/\s/g, '')).toBe(text.replace(/\s/g, ''));
    for (const token of found) expect(text.slice(token.from, token.to)).toBe(token.text);
  }
});
