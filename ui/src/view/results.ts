// What a query gave, statement by statement in order. Many series are drawn in steps, so that a wide GROUP BY does not
// stop the browser.

import type { Result } from '../api/answer';
import { serverError } from '../api/failure';
import type { Outcome } from '../api/query';
import { pointsOf } from '../boards/points';
import { statements } from '../language/statement';
import { Chart } from './chart';
import { button, make } from './dom';
import { count } from './format';
import { failureView } from './notice';
import { type Orders, seriesView } from './table';

/** Series drawn at once. */
const SERIES_STEP = 25;

export class Results {
  private query = '';
  /** What the person has done to the tables and charts of the query, which is kept while it runs again. */
  private orders: Orders = new Map();
  private readonly charts = new Set<number>();

  constructor(
    private readonly place: HTMLElement,
    private readonly ask: (text: string) => void,
  ) {
    // The queries that the page shows before the first one is run.
    for (const look of place.querySelectorAll<HTMLButtonElement>('button[data-query]')) {
      look.addEventListener('click', () => ask(look.dataset['query'] ?? ''));
    }
  }

  /** Takes everything away. */
  clear(): void {
    this.place.replaceChildren();
  }

  show(query: string, outcome: Outcome): void {
    if (query !== this.query) {
      this.query = query;
      this.orders = new Map();
      this.charts.clear();
    }
    const texts = statements(query);
    const views: Node[] = [];
    const whole = outcome.ended === undefined && outcome.failure === undefined;
    if (outcome.failure !== undefined) views.push(failureView(outcome.failure, query));
    if (outcome.ended === 'full') {
      const note = `Only the first ${count(outcome.rows, 'row')} are shown, as many as the page holds; the query was stopped there. Ask for less with LIMIT, a time range or GROUP BY time().`;
      views.push(make('p', { class: 'note' }, note));
    } else if (whole && outcome.results.some((result) => result.series.some((series) => series.partial))) {
      const note = 'The server left rows out: the answer is longer than its limit for one answer (max-row-limit).';
      views.push(make('p', { class: 'note' }, note));
    }
    for (const result of outcome.results) {
      views.push(this.resultView(result, texts.length > 1 ? texts[result.statement_id] : undefined));
    }
    if (whole && outcome.results.length === 0) views.push(emptyView());
    this.place.replaceChildren(...views);
  }

  private resultView(result: Result, text: string | undefined): HTMLElement {
    const view = make('section', { class: 'result' });
    if (text !== undefined) {
      view.append(
        make('h2', {}, make('span', { class: 'ordinal' }, `${result.statement_id + 1}`), make('code', {}, text)),
      );
    }
    for (const message of result.messages) view.append(make('p', { class: 'note' }, message.text));
    if (result.error !== undefined) view.append(failureView(serverError(result.error)));
    else if (result.series.length === 0) view.append(emptyView());
    const level = text === undefined ? 'h2' : 'h3';
    const chart = this.chartView(result, level);
    if (chart !== undefined) view.append(chart);
    this.addSeries(view, result, level, 0);
    return view;
  }

  /** The numbers of a result over time, drawn once it is opened; undefined when there is no line in them. */
  private chartView(result: Result, level: 'h2' | 'h3'): HTMLElement | undefined {
    const points = pointsOf(result.series);
    if (points.times.length < 2 || points.lines.length === 0) return undefined;
    const open = this.charts.has(result.statement_id);
    const view = make('details', { class: 'result-chart', open }, make('summary', {}, 'Chart'));
    const chart = new Chart({ title: 'Numbers over time', unit: 'plain', level });
    view.append(chart.element);
    view.addEventListener('toggle', () => {
      if (view.open) this.charts.add(result.statement_id);
      else this.charts.delete(result.statement_id);
      if (view.open) chart.show(points);
    });
    return view;
  }

  private addSeries(view: HTMLElement, result: Result, level: 'h2' | 'h3', from: number): void {
    const to = Math.min(from + SERIES_STEP, result.series.length);
    result.series.slice(from, to).forEach((series, at) => {
      view.append(seriesView(series, `series-${result.statement_id}-${from + at}`, level, this.orders, this.ask));
    });
    const left = result.series.length - to;
    if (left === 0) return;
    const more = button(
      `Show ${Math.min(SERIES_STEP, left)} more of ${left.toLocaleString('en-US')} tables`,
      { class: 'more' },
      () => {
        more.remove();
        this.addSeries(view, result, level, to);
      },
    );
    view.append(more);
  }
}

function emptyView(): HTMLElement {
  return make('p', { class: 'empty' }, 'Success! (no results to display)');
}

