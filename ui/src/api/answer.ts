// The shape of an answer to `/query`, and the step from untrusted JSON to it. One document is one answer, or one
// chunk of an answer; every member may be missing, and what has a wrong type counts as missing.

import { type Cell, exactCell, parseExact } from './exact';

/** Rows of one series, or the next rows of it. */
export interface Series {
  name: string;
  tags: Record<string, string>;
  columns: string[];
  rows: Cell[][];
  /** The server says that rows are missing here. */
  partial: boolean;
}

/** A remark of the server beside the rows. */
export interface Message {
  level: string;
  text: string;
}

/** What one statement gave. */
export interface Result {
  statement_id: number;
  series: Series[];
  messages: Message[];
  error?: string;
}

/** One document of an answer. */
export interface Answer {
  results: Result[];
  /** An error of the whole query, which ends it. */
  error?: string;
}

type Json = Record<string, unknown>;

/** Reads one document. @throws SyntaxError when the text is not JSON */
export function readAnswer(text: string): Answer {
  const json = object(parseExact(text));
  const answer: Answer = { results: list(json['results']).map(readResult) };
  if (typeof json['error'] === 'string') answer.error = json['error'];
  return answer;
}

function readResult(value: unknown): Result {
  const json = object(value);
  const id = json['statement_id'];
  const result: Result = {
    statement_id: typeof id === 'number' ? id : 0,
    series: list(json['series']).map(readSeries),
    messages: list(json['messages']).map(readMessage),
  };
  if (typeof json['error'] === 'string') result.error = json['error'];
  return result;
}

function readSeries(value: unknown): Series {
  const json = object(value);
  return {
    name: text(json['name']),
    tags: Object.fromEntries(Object.entries(object(json['tags'])).map(([key, tag]) => [key, text(tag)])),
    columns: list(json['columns']).map(text),
    rows: list(json['values']).map((row) => list(row).map(exactCell)),
    partial: json['partial'] === true,
  };
}

function readMessage(value: unknown): Message {
  const json = object(value);
  return { level: text(json['level']), text: text(json['text']) };
}

function object(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
