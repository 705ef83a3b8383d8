// Puts the documents of a chunked answer together again, up to a bound. A series that goes on in the next chunk is
// one table here, as it is in an answer without chunks. Once the bound is met nothing more is taken, and the
// caller ends the query.

import type { Answer, Result, Series } from './answer';

/** Rows kept of one query. */
export const ROWS_MAX = 50_000;
/** Cells kept of one query: what bounds the memory of wide rows. */
export const CELLS_MAX = 1_000_000;

/** The results of a query so far. */
export class Gather {
  readonly results: Result[] = [];
  rows = 0;
  /** More rows came than are kept. */
  full = false;
  private cells = 0;

  constructor(
    private readonly rows_max = ROWS_MAX,
    private readonly cells_max = CELLS_MAX,
  ) {}

  add(answer: Answer): void {
    for (const result of answer.results) {
      const last = this.results.at(-1);
      if (last === undefined || last.statement_id !== result.statement_id) {
        this.results.push({ ...result, series: [] });
      } else {
        last.messages.push(...result.messages);
        if (result.error !== undefined) last.error = result.error;
      }
      for (const series of result.series) this.addSeries(series);
    }
  }

  private addSeries(series: Series): void {
    const result = this.results.at(-1);
    if (result === undefined || this.full) return;
    const width = Math.max(series.columns.length, 1);
    const room = Math.min(this.rows_max - this.rows, Math.floor((this.cells_max - this.cells) / width));
    const kept = series.rows.length > room ? series.rows.slice(0, room) : series.rows;
    this.full = kept.length < series.rows.length;
    this.rows += kept.length;
    this.cells += kept.length * width;
    const last = result.series.at(-1);
    if (last !== undefined && sameSeries(last, series)) {
      for (const row of kept) last.rows.push(row);
      last.partial = series.partial;
    } else {
      result.series.push({ ...series, rows: kept });
    }
  }
}

function sameSeries(a: Series, b: Series): boolean {
  return (
    a.partial &&
    a.name === b.name &&
    JSON.stringify(a.tags) === JSON.stringify(b.tags) &&
    JSON.stringify(a.columns) === JSON.stringify(b.columns)
  );
}
