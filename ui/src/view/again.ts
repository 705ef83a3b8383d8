// The time range of the query, and whether it runs again by itself. A range is written into the query text, so that what runs is
// always what stands there. Statements that change something never run by themselves.

import { changes } from '../language/statement';
import { withSpan } from '../language/span';

export class Again {
  private timer: number | undefined;
  private last: string | undefined;

  constructor(
    private readonly span: HTMLSelectElement,
    private readonly every: HTMLSelectElement,
    private readonly text: () => string,
    private readonly put: (text: string) => void,
    private readonly run: (text: string) => Promise<void>,
  ) {
    span.addEventListener('change', () => {
      const now = this.text();
      if (span.value === '' || now === '') return;
      const text = withSpan(now, span.value);
      if (text !== now) this.put(text);
      if (text !== now && !changes(text)) void this.run(text);
    });
    every.addEventListener('change', () => this.plan());
  }

  /** A person ran this: it is what runs again. */
  ran(text: string): void {
    this.last = changes(text) ? undefined : text;
    if (!text.includes(`now() - ${this.span.value}`)) this.span.value = '';
    this.plan();
  }

  /** Does not run again: it failed, or was cancelled. */
  stop(): void {
    this.every.value = '0';
    this.plan();
  }

  private plan(): void {
    clearTimeout(this.timer);
    const seconds = Number(this.every.value);
    if (seconds === 0) return;
    this.timer = window.setTimeout(() => {
      if (document.hidden || this.last === undefined) {
        this.plan();
        return;
      }
      void this.run(this.last).finally(() => this.plan());
    }, seconds * 1_000);
  }
}
