import { expect, test } from 'vitest';
import { viewOf } from './views';

test('an address names a view, or the first one', () => {
  const names = ['query', 'hosts'];
  expect(viewOf('#/hosts', names)).toBe('hosts');
  expect(viewOf('#/hosts?host=a', names)).toBe('hosts');
  expect(viewOf('#/query?db=x&q=y', names)).toBe('query');
  for (const other of ['', '#', '#/nothing', '#hosts', '#/hosts/x']) expect(viewOf(other, names)).toBe('query');
});
