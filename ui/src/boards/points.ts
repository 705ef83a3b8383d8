// From the series of an answer to the columns that a chart draws: one axis of times, one column of numbers a line. Where a line has
// nothing because others were collected at other times, or more seldom than the windows are wide, it is undefined and the line goes on;
// where something is missing that should be there, it is null and the line is broken.

import type { Series } from '../api/answer';
import type { Cell } from '../api/exact';
import { nanoseconds } from '../view/format';

/** Lines that a chart draws; more cannot be told apart. */
export const LINES_MAX = 24;

/** A value is missing for longer than this many intervals: then something was silent. */
const SILENT_INTERVALS = 2.5;
/** The same where nearly every window has a value: then one window without any is told. */
const SILENT_WINDOWS = 1.5;

/** A value of a line; null where it is broken, undefined where it goes on. */
export type Value = number | null | undefined;

/** What a chart draws. Times are seconds since 1970. */
export interface Points {
  times: number[];
  lines: { label: string; values: Value[] }[];
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
  const found: { label: string; points: Point[] }[] = [];
  for (const series of all) {
    const at = series.columns.indexOf('time');
    if (at === -1) continue;
    const rows = series.rows.map((row) => ({ row, time: seconds(row[at] ?? null) })).filter(({ time }) => !Number.isNaN(time));
    for (const [column, name] of series.columns.entries()) {
      if (column === at || !rows.some(({ row }) => number(row[column]) !== null)) continue;
      const points = rows.map(({ row, time }): Point => {
        places.set(time, 0);
        const value = number(row[column]);
        return [time, value === null ? null : value * scale];
      });
      found.push({ label: label(series, name), points: points.sort((a, b) => a[0] - b[0]) });
    }
  }
  const drawn = found.slice(0, LINES_MAX).map((line) => ({ label: line.label, breaks: breaksOf(line.points), points: line.points }));
  for (const { breaks } of drawn) for (const { from, to } of breaks) places.set((from + to) / 2, 0);
  const times = [...places.keys()].sort((a, b) => a - b);
  times.forEach((time, place) => places.set(time, place));
  const lines = drawn.map(({ label, breaks, points }) => {
    const values: Value[] = times.map(() => undefined);
    for (const [time, value] of points) if (value !== null) values[places.get(time) ?? 0] = value;
    for (const { from, to } of breaks) values.fill(null, (places.get(from) ?? 0) + 1, places.get(to) ?? 0);
    return { label, values };
  });
  return { times, lines, left: found.length - lines.length };
}

/** A time in seconds and what a series has there. */
type Point = [number, number | null];

/** Where a line is broken: between two values that are further apart than its own interval explains. */
function breaksOf(points: readonly Point[]): { from: number; to: number }[] {
  const times = points.filter(([, value]) => value !== null).map(([time]) => time);
  // Most steps are as long as that, also where a quarter of them are outages.
  const interval = stepsOf(times).sort((a, b) => a - b);
  const usual = interval[Math.floor((interval.length - 1) * 0.75)];
  if (usual === undefined) return [];
  const narrowest = stepsOf(points.map(([time]) => time)).reduce((all, step) => Math.min(all, step), Infinity);
  const is_filled = usual < narrowest * SILENT_WINDOWS;
  const most = usual * (is_filled ? SILENT_WINDOWS : SILENT_INTERVALS);
  return times.flatMap((to, at) => {
    const from = times[at - 1];
    return from !== undefined && to - from > most ? [{ from, to }] : [];
  });
}

/** The steps between times that are in order; those of no length are left out. */
function stepsOf(times: readonly number[]): number[] {
  return times.slice(1).flatMap((time, at) => {
    const step = time - (times[at] ?? time);
    return step > 0 ? [step] : [];
  });
}

/** The places of values that no line leads to: they are drawn as points. */
export function lonely(values: readonly Value[]): number[] {
  const found: number[] = [];
  let at_before: number | undefined;
  let is_led_to = false;
  for (const [at, value] of values.entries()) {
    if (value === undefined) continue;
    if (value === null) {
      if (at_before !== undefined && !is_led_to) found.push(at_before);
      at_before = undefined;
      continue;
    }
    is_led_to = at_before !== undefined;
    at_before = at;
  }
  if (at_before !== undefined && !is_led_to) found.push(at_before);
  return found;
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
