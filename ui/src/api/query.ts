// Runs one query text on the store and gathers the answer. Reads go as GET, statements that change something as a
// POST form, as InfluxDB asks. Never throws: what went wrong is part of the outcome, beside the rows that came before.

import { readAnswer, type Result } from './answer';
import { cutError, type Failure, networkError, serverError, statusError, tooLargeError } from './failure';
import { Gather } from './gather';
import { lines, LineTooLong } from './lines';
import { endpoint } from './root';
import { send } from './session';
import { changes } from '../language/statement';

/** Rows that the server puts in one document of the answer. */
const CHUNK_ROWS = 2_000;

/** All that a query gave. */
export interface Outcome {
  results: Result[];
  rows: number;
  elapsed_ms: number;
  /** Whether the server said anything at all. */
  answered: boolean;
  failure?: Failure;
  /** Why rows may be missing though nothing failed. */
  ended?: 'cancelled' | 'full';
  /** What the server calls its version, once it answered. */
  version?: string;
  /** The server's clock when it answered, in seconds since 1970. */
  server_s?: number;
}

/** Runs `q` against the database `db` (may be empty); `progress` hears the rows so far. */
export async function runQuery(
  page: string,
  db: string,
  q: string,
  signal: AbortSignal,
  progress: (rows: number) => void = () => undefined,
): Promise<Outcome> {
  const started_ms = performance.now();
  const gather = new Gather();
  const outcome: Outcome = { results: gather.results, rows: 0, elapsed_ms: 0, answered: false };
  const stop = new AbortController();
  const onAbort = (): void => stop.abort();
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) stop.abort();
  try {
    const response = await ask(page, db, q, stop.signal);
    outcome.answered = true;
    const version = response.headers.get('X-Influxdb-Version');
    if (version !== null) outcome.version = version;
    const date_ms = Date.parse(response.headers.get('Date') ?? '');
    if (!Number.isNaN(date_ms)) outcome.server_s = date_ms / 1_000;
    if (!response.ok || response.body === null) {
      outcome.failure = statusError(response.status, response.statusText, await response.text());
    } else {
      for await (const line of lines(response.body)) {
        const answer = readAnswer(line);
        gather.add(answer);
        if (answer.error !== undefined) outcome.failure = serverError(answer.error);
        progress(gather.rows);
        if (gather.full) {
          outcome.ended = 'full';
          break;
        }
      }
    }
  } catch (error) {
    if (signal.aborted) outcome.ended = 'cancelled';
    else if (error instanceof LineTooLong) outcome.failure = tooLargeError();
    else if (outcome.answered) outcome.failure = cutError(gather.rows);
    else outcome.failure = networkError(new URL(page).host);
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop.abort();
  }
  outcome.rows = gather.rows;
  outcome.elapsed_ms = performance.now() - started_ms;
  return outcome;
}

function ask(page: string, db: string, q: string, signal: AbortSignal): Promise<Response> {
  const shape = { db, chunked: 'true', chunk_size: String(CHUNK_ROWS) };
  const options: RequestInit = { signal, headers: { Accept: 'application/json' } };
  if (!changes(q)) return send(endpoint(page, 'query', { ...shape, q }), options);
  return send(endpoint(page, 'query', shape), { ...options, method: 'POST', body: new URLSearchParams({ q }) });
}
