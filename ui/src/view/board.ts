// A board: a list of what reports, the silent ones marked, and charts of the one that was chosen. It asks again while it is
// seen, never twice at once, and keeps what it shows when a store is away.

import { askBoard } from '../boards/ask';
import { type Panel } from '../boards/hosts';
import { pointsOf } from '../boards/points';
import { RANGES } from '../boards/range';
import { age } from '../boards/units';
import type { Series } from '../api/answer';
import type { Outcome } from '../api/query';
import { load, save } from '../keep/storage';
import { Chart } from './chart';
import { button, make } from './dom';
import { failureView } from './notice';
import type { Source } from './source';
import type { View } from './views';

/** Between two looks, in milliseconds. */
const REFRESH_MS = 10_000;
/** Rows of the list. */
const ROWS_MAX = 200;
const RANGE_KEY = 'range';

/** A column of the list. */
export interface Column<Row> {
  title: string;
  text(row: Row): string;
  /** A share of 0 to 100, drawn as a bar behind the text. */
  share?(row: Row): number | null;
  number?: boolean;
}

/** What makes a board. */
export interface BoardSpec<Row> {
  /** In the singular. */
  noun: string;
  statements: readonly string[];
  rowsOf(answers: readonly (readonly Series[])[], now_s: number): Row[];
  columns: readonly Column<Row>[];
  name(row: Row): string;
  age_s(row: Row): number;
  silent_after_s: number;
  panels(row: Row): Panel[];
  /** What to do when the list is empty. */
  nothing: string;
  /** Sums above the list. */
  sums?(rows: readonly Row[]): HTMLElement;
}

export class BoardView<Row> implements View {
  private readonly state = make('p', { class: 'board-state', role: 'status' });
  private readonly trouble = make('div', {});
  private readonly sums = make('div', {});
  private readonly list = make('div', { class: 'board-list' });
  private readonly title = make('h2', { class: 'board-title', hidden: true });
  private readonly charts = make('div', { class: 'charts' });
  private readonly range: HTMLSelectElement;
  private timer: number | undefined;
  private asking: AbortController | undefined;
  private rows: Row[] = [];
  /** The server's clock at the last look. */
  private now_s = 0;
  private chosen: string | undefined;
  private drawn: { name: string; panels: Panel[]; charts: Chart[] } | undefined;

  constructor(
    place: HTMLElement,
    private readonly spec: BoardSpec<Row>,
    private readonly source: Source,
    private readonly heard: (outcome: Outcome) => void,
  ) {
    const id = `${spec.noun}-range`;
    const kept = Number(load(RANGE_KEY) ?? 3_600);
    this.range = make(
      'select',
      { id },
      ...RANGES.map(({ label, seconds }) => make('option', { value: String(seconds), selected: seconds === kept }, label)),
    );
    this.range.addEventListener('change', () => {
      save(RANGE_KEY, this.range.value);
      void this.look();
    });
    const bar = make('div', { class: 'board-bar' }, make('label', { for: id }, 'Charts of the last'), this.range, this.state);
    place.append(bar, this.trouble, this.sums, this.list, this.title, this.charts);
    document.addEventListener('visibilitychange', () => {
      if (this.timer !== undefined && !document.hidden) void this.look();
    });
  }

  shown(): void {
    this.timer = window.setInterval(() => {
      if (!document.hidden && this.asking === undefined) void this.look();
    }, REFRESH_MS);
    void this.look();
  }

  hidden(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.asking?.abort();
    this.asking = undefined;
  }

  private async look(): Promise<void> {
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    const { parts, outcome } = await askBoard(this.source.value, this.spec.statements, asking.signal);
    if (asking.signal.aborted) return;
    this.heard(outcome);
    const failure = outcome.failure ?? parts.find((part) => part.failure !== undefined)?.failure;
    this.trouble.replaceChildren(...(failure === undefined ? [] : [failureView(failure)]));
    if (outcome.failure === undefined) {
      this.now_s = outcome.server_s ?? Date.now() / 1_000;
      this.rows = this.spec.rowsOf(
        parts.map((part) => part.series),
        this.now_s,
      );
      this.drawList();
      await this.drawCharts(asking.signal);
    }
    if (this.asking === asking) this.asking = undefined;
  }

  private drawList(): void {
    const { spec, rows } = this;
    const silent = rows.filter((row) => this.isSilent(row)).length;
    const noun = rows.length === 1 ? spec.noun : `${spec.noun}s`;
    this.state.textContent = `${rows.length} ${noun}${silent > 0 ? `, ${silent} silent` : ''}`;
    this.state.dataset['state'] = silent > 0 ? 'bad' : 'good';
    this.sums.replaceChildren(...(spec.sums === undefined || rows.length === 0 ? [] : [spec.sums(rows)]));
    if (rows.length === 0) {
      this.list.replaceChildren(make('p', { class: 'note' }, spec.nothing));
      return;
    }
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset['row'] : undefined;
    const heads = spec.columns.map((column) =>
      make('th', { scope: 'col', class: column.number === true ? 'number' : '' }, column.title),
    );
    const head = make('tr', {}, make('th', { scope: 'col' }, capital(spec.noun)), ...heads, make('th', { scope: 'col' }, 'Last heard'));
    const body = make('tbody', {}, ...rows.slice(0, ROWS_MAX).map((row) => this.rowView(row)));
    const caption = make('caption', { class: 'unseen' }, `${capital(spec.noun)}s`);
    const table = make('table', {}, caption, make('thead', {}, head), body);
    const more = rows.length > ROWS_MAX ? [make('p', { class: 'note' }, `${rows.length - ROWS_MAX} more are not listed.`)] : [];
    this.list.replaceChildren(make('div', { class: 'series' }, make('div', { class: 'scroll' }, table)), ...more);
    if (focused !== undefined) {
      [...this.list.querySelectorAll<HTMLElement>('[data-row]')].find((one) => one.dataset['row'] === focused)?.focus();
    }
  }

  private isSilent(row: Row): boolean {
    return this.spec.age_s(row) > this.spec.silent_after_s;
  }

  private rowView(row: Row): HTMLElement {
    const name = this.spec.name(row);
    const silent = this.isSilent(row);
    const choose = button(name, { class: 'look', 'data-row': name, 'aria-pressed': String(name === this.chosen) }, () => {
      this.chosen = name;
      void this.look();
    });
    const cells = this.spec.columns.map((column) => {
      const view = make('td', { class: column.number === true ? 'number' : '' }, column.text(row));
      const share = column.share?.(row) ?? null;
      if (share !== null) {
        view.classList.add('share', `share-${Math.min(Math.max(Math.round(share / 5), 0), 20)}`);
        if (share >= 90) view.dataset['state'] = 'bad';
      }
      return view;
    });
    const ago = `${age(Math.max(this.spec.age_s(row), 0))} ago`;
    const last = make('td', { class: 'heard', 'data-state': silent ? 'bad' : 'good' }, silent ? `silent, ${ago}` : ago);
    return make('tr', { class: silent ? 'silent' : '' }, make('td', {}, choose), ...cells, last);
  }

  private async drawCharts(signal: AbortSignal): Promise<void> {
    const named = this.rows.find((one) => this.spec.name(one) === this.chosen);
    const row = named ?? this.rows.find((one) => !this.isSilent(one)) ?? this.rows[0];
    this.title.hidden = row === undefined;
    if (row === undefined) {
      this.charts.replaceChildren();
      this.drawn = undefined;
      return;
    }
    const name = this.spec.name(row);
    if (this.drawn?.name !== name) {
      const panels = this.spec.panels(row);
      const span = (): { from_s: number; to_s: number } => ({ from_s: this.now_s - Number(this.range.value), to_s: this.now_s });
      const charts = panels.map((panel) => new Chart({ ...panel, span }));
      this.drawn = { name, panels, charts };
      this.title.textContent = name;
      this.charts.replaceChildren(...charts.map((chart) => chart.element));
    }
    const { panels, charts } = this.drawn;
    const range_s = Number(this.range.value);
    const statements = panels.map((panel) => panel.statement(range_s));
    const { parts, outcome } = await askBoard(this.source.value, statements, signal);
    if (signal.aborted) return;
    this.heard(outcome);
    for (const [at, chart] of charts.entries()) {
      const [part, panel] = [parts[at], panels[at]];
      if (part === undefined || panel === undefined) continue;
      const failure = part.failure ?? outcome.failure;
      if (failure !== undefined) chart.fail(`${failure.title}: ${failure.detail}`);
      else chart.show(pointsOf(part.series, panel.label, panel.scale));
    }
  }
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
