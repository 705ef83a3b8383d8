import { expect, test } from 'vitest';
import { RANGES, since, windowOf, windows } from './range';

test('a chart has enough windows to be read and not too many to be drawn', () => {
  for (const { seconds } of RANGES) {
    const count = seconds / windowOf(seconds);
    expect(count).toBeGreaterThanOrEqual(30);
    expect(count).toBeLessThanOrEqual(240);
    // As seldom as agents report by default: a narrower window would be empty.
    expect(windowOf(seconds)).toBeGreaterThanOrEqual(10);
  }
});

test('the clauses', () => {
  expect(since(3_600)).toBe('time > now() - 3680s');
  expect(windows(3_600, '"host"')).toBe('GROUP BY time(20s), "host"');
});
