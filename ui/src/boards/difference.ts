// Whether two stores hold the same: counts of points of each measurement and field in a range that both should have whole.

import type { Series } from '../api/answer';

/** A measurement whose counts differ. */
export interface Difference {
  name: string;
  here: number;
  there: number;
}

/** What the last comparison gave, with the range in words. */
export type Compared =
  | {
      range: string;
      database: string;
      values: number;
      differences: Difference[];
      /** A relay held lines for a store at that time, which may be all that differs. */
      is_catching_up: boolean;
    }
  | { range: string; database: string; failed: string };

/** How far back the range goes, and how long before now it ends: batches may be under way, in milliseconds. */
export const RANGE_MS = 300_000;
export const SETTLED_MS = 20_000;

/** The range that is compared: whole windows of ten seconds. */
export function comparedRange(now_ms: number): { from_ms: number; to_ms: number } {
  const to_ms = Math.floor((now_ms - SETTLED_MS) / 10_000) * 10_000;
  return { from_ms: to_ms - RANGE_MS, to_ms };
}

/** The statement whose answers are compared; the server asks the peer the same. */
export function countsStatement(range: { from_ms: number; to_ms: number }): string {
  return `SELECT count(*) FROM /.*/ WHERE time >= ${range.from_ms}ms AND time < ${range.to_ms}ms`;
}

/** How many measurements differ, in words. */
export function differWords(differences: readonly Difference[]): string {
  return differences.length === 1 ? '1 measurement differs' : `${differences.length} measurements differ`;
}

/** Values by measurement. */
export function countsOf(series: readonly Series[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const one of series) {
    const cells = one.rows.flatMap((row) => row.slice(1));
    const sum = cells.reduce<number>((all, cell) => all + (typeof cell === 'number' ? cell : 0), 0);
    counts.set(one.name, (counts.get(one.name) ?? 0) + sum);
  }
  return counts;
}

/** What differs, by name, and how many values there are here. */
export function compare(here: ReadonlyMap<string, number>, there: ReadonlyMap<string, number>): { values: number; differences: Difference[] } {
  const names = [...new Set([...here.keys(), ...there.keys()])].sort();
  const differences = names
    .map((name) => ({ name, here: here.get(name) ?? 0, there: there.get(name) ?? 0 }))
    .filter((one) => one.here !== one.there);
  return { values: [...here.values()].reduce((all, count) => all + count, 0), differences };
}
