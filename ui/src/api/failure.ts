// What went wrong, in words for the person at the page: a title, the server's own text, and what to do next.
// Pure: every way to fail is mapped here and nowhere else.

/** A failure, ready to be shown. */
export interface Failure {
  title: string;
  detail: string;
  hint?: string;
  /** The HTTP status, where that was what failed. */
  status?: number;
}

/** Characters shown of a body that is not the store's JSON (a proxy's page, say). */
const BODY_CHARS_MAX = 400;

/** What helps, by a part of the server's text. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [/database not found/, 'Choose another data source at the upper right; SHOW DATABASES lists them.'],
  [/database (name required|is required)/, 'Choose a data source at the upper right.'],
  [/create admin user first/, 'The query template Create admin user makes the first one.'],
  [/retention policy not found/, 'SHOW RETENTION POLICIES lists those of the data source.'],
  [/found .*, expected .* at line/, 'The mark shows where the query stopped making sense.'],
  [/timeout|query interrupted|max-select/, 'Ask for less: a time range, a tag, or LIMIT.'],
];

/** What helps, by the status of the answer. */
const STATUS_HINTS: Readonly<Record<number, string>> = {
  401: 'Sign in with a name and password that this store knows.',
  403: 'The signed-in user may not do this; an administrator grants the right with GRANT.',
  413: 'Send it in smaller parts.',
  429: 'Wait a little, then try again.',
  502: 'A proxy answered in place of the store: is the store running?',
  503: 'The store is busy. Wait a little, then try again.',
  504: 'A proxy answered in place of the store: is the store running?',
};

/** An error text of the store itself, in an answer that is otherwise well. */
export function serverError(text: string): Failure {
  return withHint({ title: 'Server returned error', detail: text }, hintFor(text));
}

/** An answer whose status is not a success. */
export function statusError(status: number, statusText: string, body: string): Failure {
  const detail = errorText(body) ?? (plain(body) || statusText || 'no further text');
  return withHint(
    { title: `Server returned error ${status}`, detail, status },
    hintFor(detail) ?? STATUS_HINTS[status],
  );
}

/** No answer came at all. */
export function networkError(host: string): Failure {
  return {
    title: `No answer from ${host}`,
    detail: 'The connection could not be made, or broke before an answer came.',
    hint: 'Is the store running, and is this port open between here and there? The other store may answer.',
  };
}

/** The answer ended, or stopped being JSON, in its middle. */
export function cutError(rows: number): Failure {
  const hint = 'Run the query again; if this repeats, look at the log of the store.';
  if (rows > 0) return { title: 'The answer was cut off', detail: 'What had arrived before is shown below.', hint };
  return {
    title: 'The answer could not be read',
    detail: 'It ended early, or something else than a store answers here.',
    hint,
  };
}

/** The answer came in one piece, too large to be shown. */
export function tooLargeError(): Failure {
  return {
    title: 'The answer is too large to be shown',
    detail: 'It came in one piece that this page does not take.',
    hint: 'Add LIMIT, or a shorter time range.',
  };
}

/** Where in `query` a parse error points, counted from 0; undefined when it points nowhere. */
export function errorOffset(detail: string, query: string): number | undefined {
  const found = /at line (\d+), char (\d+)/.exec(detail);
  if (found === null) return undefined;
  const lines = query.split('\n');
  const before = lines.slice(0, Number(found[1]) - 1);
  const start = before.reduce((sum, line) => sum + line.length + 1, 0);
  return Math.min(start + Math.max(Number(found[2]) - 1, 0), query.length);
}

function errorText(body: string): string | undefined {
  try {
    const json: unknown = JSON.parse(body);
    const error = typeof json === 'object' && json !== null ? (json as { error?: unknown }).error : undefined;
    return typeof error === 'string' && error !== '' ? error : undefined;
  } catch {
    return undefined;
  }
}

function plain(body: string): string {
  const text = body
    .replace(/<(style|script|title)[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return text.length > BODY_CHARS_MAX ? `${text.slice(0, BODY_CHARS_MAX)}…` : text;
}

function hintFor(text: string): string | undefined {
  return HINTS.find(([pattern]) => pattern.test(text))?.[1];
}

function withHint(failure: Failure, hint: string | undefined): Failure {
  return hint === undefined ? failure : { ...failure, hint };
}
