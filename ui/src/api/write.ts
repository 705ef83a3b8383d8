// Writes line protocol to the store as any client does: one POST, 204 when the points are durable.

import { type Failure, networkError, statusError } from './failure';
import { endpoint } from './root';
import { send } from './session';

/** What a write gave. */
export interface Written {
  elapsed_ms: number;
  failure?: Failure;
}

/** Units that timestamps of the lines may have. */
export type Precision = 'ns' | 'u' | 'ms' | 's' | 'm' | 'h';

/** Writes `body` to the database `db`. Never throws. */
export async function writeLines(page: string, db: string, precision: Precision, body: string): Promise<Written> {
  const started_ms = performance.now();
  const written: Written = { elapsed_ms: 0 };
  try {
    const url = endpoint(page, 'write', { db, precision: precision === 'ns' ? '' : precision });
    const headers = { 'Content-Type': 'text/plain; charset=utf-8' };
    const response = await send(url, { method: 'POST', headers, body });
    if (!response.ok) written.failure = statusError(response.status, response.statusText, await response.text());
  } catch {
    written.failure = networkError(new URL(page).host);
  }
  written.elapsed_ms = performance.now() - started_ms;
  return written;
}
