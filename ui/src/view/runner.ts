// One query at a time: starts it, tells how far it is, cancels it, shows what it gave and where it is wrong.

import { errorOffset } from '../api/failure';
import { type Outcome, runQuery } from '../api/query';
import { changes } from '../language/statement';
import { count, duration } from './format';
import type { Results } from './results';
import type { Source } from './source';

/** Between two looks at the clock while a query runs. */
const TICK_MS = 100;
/** A query that is over sooner is not announced. */
const QUIET_MS = 150;

export class Runner {
  private running: AbortController | undefined;

  constructor(
    private readonly source: Source,
    private readonly results: Results,
    private readonly summary: HTMLElement,
    private readonly cancelButton: HTMLButtonElement,
    private readonly heard: (outcome: Outcome) => void,
    /** Hears where the query is wrong, or that it is not; and whether it failed. */
    private readonly ended: (wrong_at: number | undefined, is_good: boolean) => void,
  ) {
    cancelButton.addEventListener('click', () => this.cancel());
  }

  cancel(): void {
    this.running?.abort();
  }

  /** Runs a query; one that still runs is cancelled for it. */
  async run(text: string): Promise<void> {
    this.cancel();
    const running = new AbortController();
    this.running = running;
    const started_ms = performance.now();
    let rows = 0;
    const tick = setInterval(() => {
      const elapsed_ms = performance.now() - started_ms;
      if (elapsed_ms < QUIET_MS) return;
      this.cancelButton.hidden = false;
      this.summary.textContent = `Running · ${rows > 0 ? `${count(rows, 'row')} · ` : ''}${duration(elapsed_ms)}`;
    }, TICK_MS);
    this.summary.dataset['state'] = 'running';
    const outcome = await runQuery(document.baseURI, this.source.value, text, running.signal, (so_far) => {
      rows = so_far;
    });
    clearInterval(tick);
    if (this.running !== running) return;
    this.running = undefined;
    this.cancelButton.hidden = true;
    this.results.show(text, outcome);
    const detail = outcome.failure?.detail;
    const is_good = !failed(outcome) && outcome.ended !== 'cancelled';
    this.ended(detail === undefined ? undefined : errorOffset(detail, text), is_good);
    this.summary.textContent = summaryText(outcome);
    this.summary.dataset['state'] = failed(outcome) ? 'failed' : 'done';
    if (outcome.ended !== 'cancelled') this.heard(outcome);
    // A change may be to the list of databases; after a silence that list asks on until the store is back.
    if (changes(text) || (outcome.ended === undefined && !outcome.answered)) void this.source.refresh();
  }
}

function failed(outcome: Outcome): boolean {
  return outcome.failure !== undefined || outcome.results.some((result) => result.error !== undefined);
}

function summaryText(outcome: Outcome): string {
  const tables = outcome.results.reduce((sum, result) => sum + result.series.length, 0);
  const parts = [count(outcome.rows, 'row')];
  if (tables > 1) parts.push(count(tables, 'table'));
  if (outcome.results.length > 1) parts.push(count(outcome.results.length, 'statement'));
  if (failed(outcome)) parts.unshift('Failed');
  if (outcome.ended === 'cancelled') parts.unshift('Cancelled');
  parts.push(duration(outcome.elapsed_ms));
  return parts.join(' · ');
}
