import { expect, test } from 'vitest';
import { apiRoot, endpoint } from './root';

test('the API stands beside the page', () => {
  expect(apiRoot('http://h:8083/').href).toBe('http://h:8083/');
  expect(apiRoot('http://h:8083/index.html#/query?q=x').href).toBe('http://h:8083/');
  expect(apiRoot('http://h:8086/ui/').href).toBe('http://h:8086/');
  expect(apiRoot('http://h:8086/ui/index.html').href).toBe('http://h:8086/');
  expect(apiRoot('https://proxy/store/ui/?a=b').href).toBe('https://proxy/store/');
});

test('parameters are escaped, empty ones left out', () => {
  const url = endpoint('http://h:8083/', 'query', { db: '', q: 'select "a&b" from c; --é' });
  expect(url.search).toBe('?q=select+%22a%26b%22+from+c%3B+--%C3%A9');
});
