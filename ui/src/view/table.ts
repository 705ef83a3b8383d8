// One series as a table, a page of rows at a time. A column of numbers stands to the right; a time keeps its exact
// nanoseconds in a tooltip; what was never written is a dim dash.

import type { Series } from '../api/answer';
import type { Cell } from '../api/exact';
import { lastPoints } from '../language/quote';
import { button, make } from './dom';
import { cellText, count, isNumber, nanoseconds } from './format';

/** Rows drawn at once. */
export const PAGE_ROWS = 100;

/**
 * The series with its name, tags, table and, when it is long, a pager. The heading is of the given level and bears `id`;
 * `ask` puts a query into the Query line.
 */
export function seriesView(series: Series, id: string, level: 'h2' | 'h3', ask: (text: string) => void): HTMLElement {
  const name = series.name === '' ? 'result' : series.name;
  const heading = make(level, { id }, name);
  const numbers = series.columns.map((_, at) => numeric(series, at));
  const head = make('div', { class: 'series-head' }, heading, tagList(series.tags));
  head.append(make('span', { class: 'rows' }, count(series.rows.length, 'row')));
  const body = make('tbody');
  const table = make('table', {}, caption(name, series.tags), columnHeads(series, numbers), body);
  const scroll = make('div', { class: 'scroll', role: 'group', 'aria-labelledby': id }, table);
  reachable(scroll);
  const view = make('div', { class: 'series' }, head, scroll);
  const draw = (start: number): void => {
    body.replaceChildren(
      ...series.rows.slice(start, start + PAGE_ROWS).map((row) => rowView(series, numbers, row, ask)),
    );
    scroll.scrollTop = 0;
  };
  draw(0);
  if (series.rows.length > PAGE_ROWS) view.append(pager(series.rows.length, name, draw));
  return view;
}

/** Lets the keyboard scroll what does not fit; what fits is no stop on the way of Tab. */
function reachable(scroll: HTMLElement): void {
  const look = (): void => {
    const fits = scroll.scrollWidth <= scroll.clientWidth && scroll.scrollHeight <= scroll.clientHeight;
    if (fits) scroll.removeAttribute('tabindex');
    else scroll.tabIndex = 0;
  };
  new ResizeObserver(look).observe(scroll);
}

function caption(name: string, tags: Record<string, string>): HTMLElement {
  const words = [name, ...Object.entries(tags).map(([key, value]) => `${key} ${value}`)];
  return make('caption', { class: 'unseen' }, words.join(', '));
}

function tagList(tags: Record<string, string>): Node {
  const entries = Object.entries(tags);
  if (entries.length === 0) return document.createDocumentFragment();
  const items = entries.map(([key, value]) =>
    make('li', {}, make('span', { class: 'tag-key' }, `${key}=`), make('span', {}, value === '' ? '""' : value)),
  );
  return make('ul', { class: 'tags', 'aria-label': 'Tags' }, ...items);
}

function columnHeads(series: Series, numbers: boolean[]): HTMLElement {
  const heads = series.columns.map((column, at) =>
    make('th', { scope: 'col', class: numbers[at] === true ? 'number' : '' }, column),
  );
  return make('thead', {}, make('tr', {}, ...heads));
}

/** Whether the first value of a column is a number. */
function numeric(series: Series, at: number): boolean {
  const row = series.rows.find((one) => (one[at] ?? null) !== null);
  return isNumber(row?.[at] ?? null);
}

function rowView(series: Series, numbers: boolean[], row: Cell[], ask: (text: string) => void): HTMLElement {
  const cells = series.columns.map((column, at) => {
    const view = cellView(series, column, row[at] ?? null, ask);
    if (numbers[at] === true) view.classList.add('number');
    return view;
  });
  return make('tr', {}, ...cells);
}

function cellView(series: Series, column: string, cell: Cell, ask: (text: string) => void): HTMLElement {
  if (cell === null) return make('td', { class: 'null', title: 'no value' }, '–');
  const text = cellText(cell);
  if (text === '') return make('td', { class: 'null', title: 'empty text' }, '""');
  if (column === 'time') {
    const ns = nanoseconds(text);
    if (ns !== undefined)
      return make('td', { class: 'time' }, make('time', { datetime: text, title: `${ns} ns` }, text));
  }
  if (series.name === 'measurements' && column === 'name') {
    const look = { class: 'look', title: 'Put the query for its last 100 points into the Query line' };
    return make(
      'td',
      {},
      button(text, look, () => ask(lastPoints(text))),
    );
  }
  return make('td', {}, text);
}

function pager(rows: number, name: string, draw: (start: number) => void): HTMLElement {
  let start = 0;
  const where = make('span', { role: 'status' });
  const go = (to: number): void => {
    start = to;
    draw(start);
    where.textContent = `${(start + 1).toLocaleString('en-US')}–${Math.min(start + PAGE_ROWS, rows).toLocaleString('en-US')} of ${rows.toLocaleString('en-US')}`;
    for (const back of [first, previous]) back.disabled = start === 0;
    for (const on of [next, last]) on.disabled = start + PAGE_ROWS >= rows;
  };
  const end = Math.floor((rows - 1) / PAGE_ROWS) * PAGE_ROWS;
  const first = button('«', { 'aria-label': 'First page' }, () => go(0));
  const previous = button('‹', { 'aria-label': 'Previous page' }, () => go(Math.max(start - PAGE_ROWS, 0)));
  const next = button('›', { 'aria-label': 'Next page' }, () => go(Math.min(start + PAGE_ROWS, end)));
  const last = button('»', { 'aria-label': 'Last page' }, () => go(end));
  go(0);
  return make(
    'div',
    { class: 'pager', role: 'group', 'aria-label': `Pages of ${name}` },
    first,
    previous,
    where,
    next,
    last,
  );
}
