// Which store this is and whether it answers: the two stores show the same page, so the address is always in sight.

import type { Outcome } from '../api/query';
import { make } from './dom';

export class Standing {
  private readonly dot = make('span', { class: 'dot', 'aria-hidden': 'true' });
  private readonly text = make('span');
  private version = '';

  constructor(private readonly place: HTMLElement) {
    document.title = `${location.host} · tandem`;
    this.text.textContent = location.host;
    place.replaceChildren(this.dot, this.text);
  }

  /** Notes that the store answered, or that it did not. */
  readonly heard = (outcome: Pick<Outcome, 'answered' | 'version'>): void => {
    if (outcome.version !== undefined) this.version = outcome.version;
    const text = outcome.answered ? location.host : `${location.host} does not answer`;
    this.dot.dataset['state'] = outcome.answered ? 'up' : 'down';
    this.place.title = this.version === '' ? '' : `InfluxDB API ${this.version}`;
    // Written only when it changed, because a screen reader reads it out.
    if (this.text.textContent !== text) this.text.textContent = text;
  };
}
