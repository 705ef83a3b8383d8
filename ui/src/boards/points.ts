// From the series of an answer to the columns that a chart draws: one axis of times, one column of numbers a line, null where
// there is nothing.

import type { Series } from '../api/answer';
import type { Cell } from '../api/exact';
import { nanoseconds } from '../view/format';

/** Lines that a chart draws; more cannot be told apart. */
export const LINES_MAX = 24;

/** What a chart draws. Times are seconds since 1970. */
export interface Points {
  times: number[];
  lines: { label: string; values: (number | null)[] }[];
  /** Lines that were left out. */
  left: number;
}

/** Takes every column of numbers of every series; `label` names a line. */
export function pointsOf(
  all: readonly Series[],
  label: (series: Series, column: string) => string = plainLabel,
  scale = 1,
): Points {
  const places = new Map<number, number>();
  const found: { label: string; points: [number, number | null][] }[] = [];
  for (const series of all) {
    const at = series.columns.indexOf('time');
    if (at === -1) continue;
    for (const [column, name] of series.columns.entries()) {
      if (column === at || !series.rows.some((row) => number(row[column]) !== null)) continue;
      const points = series.rows.map((row): [number, number | null] => {
        const time = seconds(row[at] ?? null);
        places.set(time, 0);
        const value = number(row[column]);
        return [time, value === null ? null : value * scale];
      });
      found.push({ label: label(series, name), points });
    }
  }
  const times = [...places.keys()].filter((time) => !Number.isNaN(time)).sort((a, b) => a - b);
  times.forEach((time, place) => places.set(time, place));
  const lines = found.slice(0, LINES_MAX).map((line) => {
    const values: (number | null)[] = times.map(() => null);
    for (const [time, value] of line.points) {
      const place = places.get(time);
      if (place !== undefined && !Number.isNaN(time)) values[place] = value;
    }
    return { label: line.label, values };
  });
  return { times, lines, left: found.length - lines.length };
}

function plainLabel(series: Series, column: string): string {
  const tags = Object.entries(series.tags).map(([key, value]) => `${key}=${value}`);
  return [series.name, ...tags, column].filter((word) => word !== '').join(' ');
}

function seconds(cell: Cell): number {
  if (typeof cell !== 'string') return Number.NaN;
  const ns = nanoseconds(cell);
  return ns === undefined ? Number.NaN : Number(ns) / 1e9;
}

function number(cell: Cell | undefined): number | null {
  if (typeof cell === 'number') return Number.isFinite(cell) ? cell : null;
  return typeof cell === 'bigint' ? Number(cell) : null;
}
