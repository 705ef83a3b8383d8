// The queries that run, each with a button that ends it, and those that took long.

import type { SlowQuery } from '../api/appliance';
import type { Series } from '../api/answer';
import { age } from '../boards/units';
import { button, make } from './dom';
import { cellText, duration } from './format';

/** Characters of a query that are shown. */
const TEXT_CHARS_MAX = 300;
/** What this view asks with. */
const OWN = /^SHOW QUERIES$|^SELECT count\(\*\) FROM \/\.\*\/ WHERE time >= \d+ms AND time < \d+ms$/i;

/** A query that runs. */
export interface Running {
  id: string;
  query: string;
  database: string;
  time: string;
  status: string;
}

/** Reads the answer to SHOW QUERIES; the asking itself is left out. */
export function runningOf(series: readonly Series[]): Running[] {
  const rows = series.flatMap((one) => one.rows);
  return rows
    .map(([id, query, database, time, status]) => ({
      id: cellText(id ?? ''),
      query: cellText(query ?? ''),
      database: cellText(database ?? ''),
      time: cellText(time ?? ''),
      status: cellText(status ?? ''),
    }))
    .filter(({ query }) => !OWN.test(query));
}

export function runningTable(all: readonly Running[], kill: (id: string) => void): HTMLElement {
  if (all.length === 0) return make('p', { class: 'aside' }, 'No query runs at the moment.');
  const rows = all.map(({ id, query, database, time, status }) => {
    const end = button(status === 'killed' ? 'Ending' : 'Kill', { class: 'small', 'data-key': `kill ${id}`, 'aria-label': `Kill query ${id}` }, () => kill(id));
    end.disabled = status === 'killed';
    return make('tr', {}, make('td', { class: 'whole' }, id), queryCell(query), make('td', { class: 'whole' }, database), make('td', { class: 'number whole' }, time), make('td', { class: 'whole' }, end));
  });
  return table('Running queries', ['Number', 'Query', 'Database', 'For', ''], rows);
}

export function slowTable(all: readonly SlowQuery[]): HTMLElement {
  if (all.length === 0) return make('p', { class: 'aside' }, 'None took longer than a second, or than log-queries-after says.');
  const rows = all.map(({ query, database, took_ms, ago_ms }) =>
    make('tr', {}, make('td', { class: 'number whole' }, duration(took_ms)), queryCell(query), make('td', { class: 'whole' }, database), make('td', { class: 'whole' }, `${age(ago_ms / 1_000)} ago`)),
  );
  return table('Slow queries', ['Took', 'Query', 'Database', 'Ended'], rows);
}

function queryCell(query: string): HTMLElement {
  const text = query.length > TEXT_CHARS_MAX ? `${query.slice(0, TEXT_CHARS_MAX)}…` : query;
  return make('td', { class: 'query' }, make('code', {}, text));
}

function table(caption: string, heads: string[], rows: HTMLElement[]): HTMLElement {
  const cells = heads.map((text) => (text === '' ? make('td', {}) : make('th', { scope: 'col' }, text)));
  const view = make('table', {}, make('caption', { class: 'unseen' }, caption), make('thead', {}, make('tr', {}, ...cells)), make('tbody', {}, ...rows));
  return make('div', { class: 'series' }, make('div', { class: 'scroll wrap', tabindex: '0', role: 'group', 'aria-label': caption }, view));
}
