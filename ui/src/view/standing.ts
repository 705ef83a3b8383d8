// Which store this is and whether it answers: the two stores show the same page, so the address is always in sight.

import { make } from './dom';

export class Standing {
  private readonly dot = make('span', { class: 'dot', 'aria-hidden': 'true' });
  private readonly text = make('span');
  private version = '';

  constructor(place: HTMLElement) {
    document.title = `${location.host} · tandem`;
    this.text.textContent = location.host;
    place.replaceChildren(this.dot, this.text);
  }

  /** Notes that the store answered, or that it did not. */
  readonly heard = (version: string | undefined, ok: boolean): void => {
    if (version !== undefined) this.version = version;
    this.dot.dataset['state'] = ok ? 'up' : 'down';
    const words = [location.host];
    if (!ok) words.push('no answer');
    else if (this.version !== '') words.push(`InfluxDB API ${this.version}`);
    this.text.textContent = words.join(' · ');
  };
}
