// The Query input and what its keys do: Enter runs, Shift+Enter begins a line, Up and Down walk the history, Escape cancels, `/`
// comes back here from anywhere.

import type { CompletionSource } from '@codemirror/autocomplete';
import { History } from '../keep/history';
import { load, save } from '../keep/storage';
import { Editor } from './editor';

const KEY = 'history';

export class Prompt {
  private history = new History(load(KEY));
  private readonly editor: Editor;

  constructor(
    host: HTMLElement,
    form: HTMLFormElement,
    complete: CompletionSource,
    private readonly run: (text: string) => void,
    cancel: () => void,
  ) {
    this.editor = new Editor(host, 'Query', 'SHOW MEASUREMENTS', complete, {
      run: () => this.submit(),
      older: (current) => this.history.up(current),
      newer: () => this.history.down(),
    });
    form.querySelector('.label')?.addEventListener('click', () => this.editor.focus());
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    document.addEventListener('keydown', (event) => {
      if (document.querySelector('dialog[open]') !== null) return;
      if (event.key === 'Escape') cancel();
      if (event.key === '/' && !event.ctrlKey && !event.metaKey && !event.altKey && !this.isTyping(event)) {
        event.preventDefault();
        this.editor.selectAll();
      }
    });
  }

  /** Without the blanks around it, as the store reads it. */
  get text(): string {
    return this.editor.text.trim();
  }

  /** Puts a query into the input and the caret on its blank, or at its end. */
  set(text: string, start = text.length, end = start): void {
    this.editor.set(text, start, end);
    this.editor.focus();
  }

  focus(): void {
    this.editor.focus();
  }

  /** Marks a character of `text`; of no text takes the mark away. */
  mark(at: number | undefined): void {
    this.editor.mark(at === undefined ? undefined : at + (this.editor.text.length - this.editor.text.trimStart().length));
  }

  /** Runs what stands there. */
  submit(): void {
    if (this.text === '') return;
    this.editor.closeOffers();
    this.history.push(this.text);
    save(KEY, this.history.toJson());
    this.run(this.text);
  }

  private isTyping(event: KeyboardEvent): boolean {
    const target = event.composedPath()[0];
    return target instanceof Element && target.closest('input, textarea, select, [contenteditable=true]') !== null;
  }
}
