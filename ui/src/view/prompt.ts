// The Query line: Enter runs, Up and Down walk the history, Escape cancels, `/` comes back here from anywhere.

import { History } from '../keep/history';
import { load, save } from '../keep/storage';

const KEY = 'history';

export class Prompt {
  private readonly history = new History(load(KEY));

  constructor(
    private readonly input: HTMLInputElement,
    form: HTMLFormElement,
    private readonly run: (text: string) => void,
    cancel: () => void,
  ) {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    input.addEventListener('keydown', (event) => this.walk(event));
    document.addEventListener('keydown', (event) => {
      if (document.querySelector('dialog[open]') !== null) return;
      if (event.key === 'Escape') cancel();
      if (event.key === '/' && !event.ctrlKey && !event.metaKey && !event.altKey && !typing(event.target)) {
        event.preventDefault();
        this.focus();
      }
    });
  }

  get text(): string {
    return this.input.value.trim();
  }

  /** Puts a query into the line and the caret on its blank, or at its end. */
  set(text: string, start = text.length, end = start): void {
    this.input.value = text.replace(/\s*\n\s*/g, ' ');
    this.input.focus();
    this.input.setSelectionRange(start, end);
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  private submit(): void {
    if (this.text === '') return;
    this.history.push(this.text);
    save(KEY, this.history.toJson());
    this.run(this.text);
  }

  private walk(event: KeyboardEvent): void {
    if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
    event.preventDefault();
    const text = event.key === 'ArrowUp' ? this.history.up(this.input.value) : this.history.down();
    if (text !== undefined) this.set(text);
  }
}

function typing(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('input, textarea, select, [contenteditable]') !== null;
}
