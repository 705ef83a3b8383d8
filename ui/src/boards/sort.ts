// The order of a table's rows by one of its columns. Pure; rows that have nothing there come last, whichever way it goes.

import type { Cell } from '../api/exact';
import { nanoseconds } from '../view/format';

/** By which column, and which way. */
export interface Order {
  column: number;
  descending: boolean;
}

/** The rows in that order; equal ones stay as they were. */
export function sorted(rows: readonly Cell[][], order: Order | undefined): readonly Cell[][] {
  if (order === undefined) return rows;
  const { column, descending } = order;
  const keyed = rows.map((row) => ({ row, key: keyOf(row[column] ?? null) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return a.key === b.key ? 0 : a.key === null ? 1 : -1;
    return descending ? compare(b.key, a.key) : compare(a.key, b.key);
  });
  return keyed.map(({ row }) => row);
}

/** The next order after a press on the head of `column`: up, down, as it came. */
export function turned(order: Order | undefined, column: number): Order | undefined {
  if (order?.column !== column) return { column, descending: false };
  return order.descending ? undefined : { column, descending: true };
}

function keyOf(cell: Cell): string | number | bigint | null {
  if (typeof cell === 'boolean') return Number(cell);
  if (typeof cell === 'string') return nanoseconds(cell) ?? cell;
  return cell;
}

function compare(a: string | number | bigint, b: string | number | bigint): number {
  if (typeof a === 'string' && typeof b === 'string') return a.localeCompare(b, 'en', { numeric: true });
  // Numbers before texts, should a column have both.
  if (typeof a === 'string' || typeof b === 'string') return typeof a === 'string' ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}
