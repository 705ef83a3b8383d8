// The dialog of Generate Query URL: the address that gives the same answer to any HTTP client, and the one of this page
// with the query filled in. The page never runs a query from its address: a link must not be able to change data.

import { endpoint } from '../api/root';
import { copyText } from './clipboard';
import { button, make, need } from './dom';

export class LinkDialog {
  private readonly dialog = need('link-dialog', HTMLDialogElement);
  private readonly api = need('link-api', HTMLInputElement);
  private readonly page = need('link-page', HTMLInputElement);
  private readonly said = make('p', { class: 'said', role: 'status' });

  constructor() {
    for (const input of [this.api, this.page]) {
      input.addEventListener('focus', () => input.select());
      const label = input === this.api ? 'Copy the query URL' : 'Copy the page URL';
      input.after(button('Copy', { 'aria-label': label }, () => void this.copy(input)));
    }
    this.dialog.querySelector('form')?.prepend(this.said);
  }

  open(db: string, q: string): void {
    this.api.value = endpoint(document.baseURI, 'query', { db, q }).href;
    const here = new URL(location.href);
    here.hash = pageHash(db, q);
    this.page.value = here.href;
    this.said.textContent = '';
    this.dialog.showModal();
    this.api.focus();
  }

  private async copy(input: HTMLInputElement): Promise<void> {
    const copied = await copyText(input.value);
    input.select();
    this.said.textContent = copied ? 'Copied.' : 'Selected: press Ctrl+C to copy.';
  }
}

/** The fragment that names the page, a data source and a query. */
export function pageHash(db: string, q: string): string {
  return `#/query?${new URLSearchParams({ db, q })}`;
}

/** What a fragment names; empty texts when it names nothing. */
export function readHash(hash: string): { db: string; q: string } {
  const found = new URLSearchParams(/^#\/query\?(.*)$/s.exec(hash)?.[1] ?? '');
  return { db: found.get('db') ?? '', q: found.get('q') ?? '' };
}
