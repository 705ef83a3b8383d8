// The store's own statistics over time, out of the database that it writes them into.

import type { Series } from '../api/answer';
import { since, windows } from './range';
import type { Panel } from './hosts';

/** Where a store writes its statistics. */
export const INTERNAL = '_internal';

const column = (_: Series, name: string): string => name;

export const HISTORY_PANELS: readonly Panel[] = [
  {
    title: 'Points written',
    unit: 'per second',
    low: 0,
    statement: (range_s) =>
      `SELECT non_negative_derivative(max("pointsWrittenOK"), 1s) AS "written", non_negative_derivative(max("pointsWrittenDropped"), 1s) AS "dropped" FROM "httpd" WHERE ${since(range_s)} ${windows(range_s)}`,
    label: column,
  },
  {
    title: 'Requests',
    unit: 'per second',
    low: 0,
    statement: (range_s) =>
      `SELECT non_negative_derivative(max("writeReq"), 1s) AS "writes", non_negative_derivative(max("queryReq"), 1s) AS "queries", non_negative_derivative(max("clientError"), 1s) AS "refused", non_negative_derivative(max("serverError"), 1s) AS "failed" FROM "httpd" WHERE ${since(range_s)} ${windows(range_s)}`,
    label: column,
  },
  {
    title: 'Memory',
    unit: 'bytes',
    low: 0,
    statement: (range_s) => `SELECT max("Sys") AS "process", max("HeapInUse") AS "accounted for" FROM "runtime" WHERE ${since(range_s)} ${windows(range_s)} fill(none)`,
    label: column,
  },
  {
    title: 'Block files on disk',
    unit: 'bytes',
    low: 0,
    statement: (range_s) =>
      `SELECT sum("bytes") FROM (SELECT max("diskBytes") AS "bytes" FROM "shard" WHERE ${since(range_s)} ${windows(range_s, '"database"', '"id"')} fill(none)) WHERE ${since(range_s)} ${windows(range_s, '"database"')} fill(none)`,
    label: (series) => series.tags['database'] ?? '',
  },
];
