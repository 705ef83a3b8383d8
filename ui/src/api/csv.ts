// A series as comma-separated values (RFC 4180), with its name and tags in columns of their own, as InfluxDB gives them.

import type { Series } from './answer';
import type { Cell } from './exact';

/** The text, a header line first. */
export function csvOf(series: Series): string {
  const tags = Object.entries(series.tags);
  const fixed = [series.name, ...tags.map(([, value]) => value)];
  const head = ['name', ...tags.map(([key]) => key), ...series.columns];
  const rows = series.rows.map((row) => [...fixed, ...series.columns.map((_, at) => text(row[at] ?? null))]);
  return [head, ...rows].map((row) => `${row.map(quoted).join(',')}\r\n`).join('');
}

function text(cell: Cell): string {
  if (cell === null) return '';
  return Object.is(cell, -0) ? '-0' : String(cell);
}

function quoted(value: string): string {
  return /[",\r\n]|^\s|\s$/.test(value) ? `"${value.replace(/"/g, '""')}"` : value;
}
