// The Write data dialog: line protocol into the chosen data source, and the server's own words when it refuses.

import { type Precision, writeLines } from '../api/write';
import { need } from './dom';
import { duration } from './format';
import { failureView } from './notice';

export class WriteDialog {
  private readonly dialog = need('write-dialog', HTMLDialogElement);
  private readonly form = need('write-form', HTMLFormElement);
  private readonly body = need('write-body', HTMLTextAreaElement);
  private readonly precision = need('write-precision', HTMLSelectElement);
  private readonly submit = need('write-submit', HTMLButtonElement);
  private readonly said = need('write-said', HTMLElement);
  private db = '';

  constructor() {
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.write();
    });
    this.body.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.form.requestSubmit();
      }
    });
    need('write-close', HTMLButtonElement).addEventListener('click', () => this.dialog.close());
  }

  open(db: string): void {
    this.db = db;
    need('write-db', HTMLElement).textContent = db === '' ? 'no data source' : db;
    this.said.replaceChildren();
    this.dialog.showModal();
    this.body.focus();
  }

  private async write(): Promise<void> {
    this.submit.disabled = true;
    this.said.replaceChildren('Writing…');
    const written = await writeLines(document.baseURI, this.db, this.precision.value as Precision, this.body.value);
    this.submit.disabled = false;
    if (written.failure !== undefined) this.said.replaceChildren(failureView(written.failure));
    else this.said.replaceChildren(`Written in ${duration(written.elapsed_ms)}.`);
  }
}
