// One series as a table, a page of rows at a time, in the order of the column whose head was pressed. A column of numbers stands to the right; a time keeps its exact
// nanoseconds in a tooltip; what was never written is a dim dash.

import type { Series } from '../api/answer';
import { csvOf } from '../api/csv';
import type { Cell } from '../api/exact';
import { type Order, sorted, turned } from '../boards/sort';
import { lastPoints } from '../language/quote';
import { copyText } from './clipboard';
import { button, make } from './dom';
import { cellText, count, isNumber, nanoseconds } from './format';

/** For so long a button says that it has copied. */
const COPIED_MS = 1_500;
/** Rows drawn at once. */
export const PAGE_ROWS = 100;

/** How the tables of a query are ordered, by the ids of their headings: kept when the same query runs again. */
export type Orders = Map<string, Order | undefined>;

/**
 * The series with its name, tags, table and, when it is long, a pager. The heading is of the given level and bears `id`;
 * `ask` puts a query into the Query line.
 */
export function seriesView(
  series: Series,
  id: string,
  level: 'h2' | 'h3',
  orders: Orders,
  ask: (text: string) => void,
): HTMLElement {
  const name = series.name === '' ? 'result' : series.name;
  const heading = make(level, { id }, name);
  const numbers = series.columns.map((_, at) => numeric(series, at));
  const head = make('div', { class: 'series-head' }, heading, tagList(series.tags));
  head.append(make('span', { class: 'rows' }, count(series.rows.length, 'row')), copyButton(series, name));
  const body = make('tbody');
  let rows = sorted(series.rows, orders.get(id));
  const order = (column: number): void => {
    orders.set(id, turned(orders.get(id), column));
    rows = sorted(series.rows, orders.get(id));
    columns.show(orders.get(id));
    draw(0);
    page?.show(0);
  };
  const columns = columnHeads(series, numbers, order);
  columns.show(orders.get(id));
  const table = make('table', {}, caption(name, series.tags), columns.view, body);
  const scroll = make('div', { class: 'scroll', role: 'group', 'aria-labelledby': id }, table);
  reachable(scroll);
  const view = make('div', { class: 'series' }, head, scroll);
  const draw = (start: number): void => {
    body.replaceChildren(
      ...rows.slice(start, start + PAGE_ROWS).map((row) => rowView(series, numbers, row, ask)),
    );
    scroll.scrollTop = 0;
  };
  draw(0);
  const page = series.rows.length > PAGE_ROWS ? pager(series.rows.length, name, draw) : undefined;
  if (page !== undefined) view.append(page.view);
  return view;
}

function copyButton(series: Series, name: string): HTMLElement {
  const copy = button('Copy as CSV', { class: 'small', 'aria-label': `Copy as CSV: ${name}` }, () => {
    void copyText(csvOf(series)).then((copied) => {
      copy.textContent = copied ? 'Copied' : 'Not copied: the browser refuses';
      setTimeout(() => (copy.textContent = 'Copy as CSV'), COPIED_MS);
    });
  });
  return copy;
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

/** The heads, which are pressed to order the rows; `show` marks the one that they are ordered by. */
function columnHeads(
  series: Series,
  numbers: boolean[],
  order: (column: number) => void,
): { view: HTMLElement; show(order: Order | undefined): void } {
  const heads = series.columns.map((column, at) => {
    const press = button(column, { class: 'sort', title: 'Sort by this column' }, () => order(at));
    return make('th', { scope: 'col', class: numbers[at] === true ? 'number' : '' }, press);
  });
  const show = (by: Order | undefined): void => {
    for (const [at, head] of heads.entries()) {
      if (by?.column === at) head.setAttribute('aria-sort', by.descending ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    }
  };
  return { view: make('thead', {}, make('tr', {}, ...heads)), show };
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

function pager(rows: number, name: string, draw: (start: number) => void): { view: HTMLElement; show(start: number): void } {
  let start = 0;
  const where = make('span', { role: 'status' });
  const go = (to: number): void => {
    draw(to);
    show(to);
  };
  const show = (to: number): void => {
    start = to;
    where.textContent = `${(start + 1).toLocaleString('en-US')}–${Math.min(start + PAGE_ROWS, rows).toLocaleString('en-US')} of ${rows.toLocaleString('en-US')}`;
    for (const back of [first, previous]) back.disabled = start === 0;
    for (const on of [next, last]) on.disabled = start + PAGE_ROWS >= rows;
  };
  const end = Math.floor((rows - 1) / PAGE_ROWS) * PAGE_ROWS;
  const first = button('«', { 'aria-label': 'First page' }, () => go(0));
  const previous = button('‹', { 'aria-label': 'Previous page' }, () => go(Math.max(start - PAGE_ROWS, 0)));
  const next = button('›', { 'aria-label': 'Next page' }, () => go(Math.min(start + PAGE_ROWS, end)));
  const last = button('»', { 'aria-label': 'Last page' }, () => go(end));
  show(0);
  const view = make(
    'div',
    { class: 'pager', role: 'group', 'aria-label': `Pages of ${name}` },
    first,
    previous,
    where,
    next,
    last,
  );
  return { view, show };
}
