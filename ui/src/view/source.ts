// The data source drop-down at the upper right: the databases of the store, `telegraf` chosen when it is there. While
// the store does not answer it asks again, so that a page opened too early heals by itself.

import { type Outcome, runQuery } from '../api/query';
import { make } from './dom';

/** The database that agents write to. */
const USUAL = 'telegraf';
/** Between two tries while the store does not answer. */
const RETRY_MS = 3_000;

export class Source {
  private names: string[] = [];
  private retry: number | undefined;
  private asking: AbortController | undefined;
  private hear: () => void = () => undefined;

  /** `wanted` is chosen instead of the usual one, if it exists. */
  constructor(
    private readonly select: HTMLSelectElement,
    private readonly wanted: string,
    private readonly heard: (outcome: Outcome) => void,
  ) {
    document.addEventListener('visibilitychange', () => this.refreshIfSeen());
  }

  /** The chosen database; empty when there is none. */
  get value(): string {
    return this.select.value;
  }

  /** `hear` is called when another one is chosen, by a person or because the list is another. */
  changed(hear: () => void): void {
    this.select.addEventListener('change', hear);
    this.hear = hear;
  }

  /** Asks for the databases; what was chosen stays chosen if it still exists. */
  async refresh(): Promise<void> {
    clearTimeout(this.retry);
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    const outcome = await runQuery(document.baseURI, '', 'SHOW DATABASES', asking.signal);
    if (asking.signal.aborted) return;
    this.heard(outcome);
    const result = outcome.results[0];
    if (outcome.failure !== undefined || result === undefined || result.error !== undefined) {
      if (this.names.length === 0) this.show([]);
      // Not after a refused sign-in: the browser would ask for it again and again.
      if (outcome.failure?.status !== 401) this.retry = window.setTimeout(() => this.refreshIfSeen(), RETRY_MS);
      return;
    }
    const before = this.value;
    this.show(result.series.flatMap((series) => series.rows.map((row) => String(row[0] ?? ''))));
    // A list that came late: views have asked nothing, or the wrong database.
    if (before !== this.value) this.hear();
  }

  private refreshIfSeen(): void {
    if (!document.hidden) void this.refresh();
  }

  private show(names: string[]): void {
    const unchanged = this.select.options.length > 0 && names.join('\n') === this.names.join('\n');
    if (unchanged && names.length > 0) return;
    const before = this.names.length > 0 ? this.value : this.wanted;
    this.names = names;
    const choice = [before, USUAL, names.find((name) => !name.startsWith('_')), names[0]].find(
      (name) => name !== undefined && names.includes(name),
    );
    const options = names.map((name) => make('option', { value: name, selected: name === choice }, name));
    this.select.replaceChildren(...(options.length > 0 ? options : [make('option', { value: '' }, 'none')]));
    this.select.disabled = options.length === 0;
  }
}
