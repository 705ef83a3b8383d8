// How values and counts read. Pure: text in, text out; the table decides where it goes.

import type { Cell } from '../api/exact';

/** A time as the store writes it. */
const TIME = /^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,9}))?(?:Z|[+-]\d\d:\d\d)$/;

/** The text of a cell; null has none. */
export function cellText(cell: Cell): string {
  if (cell === null) return '';
  return Object.is(cell, -0) ? '-0' : String(cell);
}

/** Whether a cell counts as a number when columns are aligned. */
export function isNumber(cell: Cell): boolean {
  return typeof cell === 'number' || typeof cell === 'bigint';
}

/** Nanoseconds since 1970 of a time in RFC 3339, exact; undefined when the text is none. */
export function nanoseconds(text: string): bigint | undefined {
  const found = TIME.exec(text);
  if (found === null) return undefined;
  const fraction = found[1] ?? '';
  const seconds_ms = Date.parse(text.replace(/\.\d+/, ''));
  if (Number.isNaN(seconds_ms)) return undefined;
  return BigInt(seconds_ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

/** A count with its thousands apart and its noun in the right number. */
export function count(n: number, noun: string): string {
  return `${n.toLocaleString('en-US')} ${noun}${n === 1 ? '' : 's'}`;
}

/** A duration as a person reads it. */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(2)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1_000)} s`;
}
