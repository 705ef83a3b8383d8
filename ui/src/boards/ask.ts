// Asks a board's statements in one request and gives each one's series. A statement that fails takes only its own panel
// with it.

import type { Series } from '../api/answer';
import { serverError, type Failure } from '../api/failure';
import { type Outcome, runQuery } from '../api/query';

/** What one statement of a board gave. */
export interface Part {
  series: Series[];
  failure?: Failure;
}

/** All parts of a board, in the order of its statements, and the time of the server. */
export interface Board {
  parts: Part[];
  outcome: Outcome;
}

export async function askBoard(db: string, statements: readonly string[], signal: AbortSignal): Promise<Board> {
  const outcome = await runQuery(document.baseURI, db, statements.join('; '), signal);
  return { parts: partsOf(outcome, statements.length), outcome };
}

/** One part a statement; those without an answer are empty. */
export function partsOf(outcome: Pick<Outcome, 'results'>, statements: number): Part[] {
  const parts: Part[] = Array.from({ length: statements }, () => ({ series: [] }));
  for (const result of outcome.results) {
    const part = parts[result.statement_id];
    if (part === undefined) continue;
    part.series.push(...result.series);
    if (result.error !== undefined) part.failure = serverError(result.error);
  }
  return parts;
}
