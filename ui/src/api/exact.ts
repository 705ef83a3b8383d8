// JSON with whole numbers kept exact. The store's integers have 64 bits and `JSON.parse` rounds beyond 53, so
// longer ones become `bigint`. Floats need no care: Go and JavaScript print the same shortest form.

/** A value of a result row. */
export type Cell = string | number | bigint | boolean | null;

/** A text or number token of JSON; what is between tokens holds no digit. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

/** Digits from which on a whole number may be past 2^53. */
const LONG = /^-?\d{16,}$/;

/** What stands for a long number while the text passes through `JSON.parse`. */
interface Stand {
  whole: string;
}

/**
 * Parses one JSON document. Whole numbers of 16 digits and more come back as objects that `exactCell` turns into
 * `bigint`: only the caller knows where a cell is, and a cell is never an object.
 *
 * @throws SyntaxError when the text is not JSON
 */
export function parseExact(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text.replace(TOKEN, (token) => (LONG.test(token) ? `{"whole":"${token}"}` : token)));
}

/** The cell that a parsed value stands for; what a cell cannot be is shown as its JSON. */
export function exactCell(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  const whole = (value as Partial<Stand>).whole;
  return typeof whole === 'string' && LONG.test(whole) ? BigInt(whole) : JSON.stringify(value);
}
