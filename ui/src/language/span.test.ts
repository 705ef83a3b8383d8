import { expect, test } from 'vitest';
import { withSpan } from './span';

test('a range is put where a condition belongs', () => {
  expect(withSpan('select x from cpu', '1h')).toBe('select x from cpu WHERE time > now() - 1h');
  expect(withSpan('select x from cpu order by time desc limit 9', '1h')).toBe(
    'select x from cpu WHERE time > now() - 1h order by time desc limit 9',
  );
  expect(withSpan(`select x from cpu where host = 'a' group by time(1m)`, '5m')).toBe(
    `select x from cpu where host = 'a' AND time > now() - 5m group by time(1m)`,
  );
  expect(withSpan('select mean(x) from (select x from "group by") group by y', '1d')).toBe(
    'select mean(x) from (select x from "group by") WHERE time > now() - 1d group by y',
  );
});

test('a range takes the place of one that is relative to now', () => {
  expect(withSpan('select x from cpu where time > now() - 1h and y = 1', '15m')).toBe(
    'select x from cpu where time > now() - 15m and y = 1',
  );
  expect(withSpan('select x from a where TIME >= now()-7d; show databases; select y from b', '6h')).toBe(
    'select x from a where time > now() - 6h; show databases; select y from b WHERE time > now() - 6h',
  );
});

test('what is no SELECT, and what would change its meaning, stays', () => {
  for (const text of ['SHOW MEASUREMENTS', '', 'drop series from cpu', 'select', 'select x from a where b = 1 or c = 2']) {
    expect(withSpan(text, '1h')).toBe(text);
  }
});
