// The queries that were run, walked with Up and Down as in a shell. What was being typed is not lost: it waits below
// the newest entry. Texts with passwords can be walked back to, but are never written out.

import { holdsSecret } from '../language/statement';

/** Entries kept. */
export const ENTRIES_MAX = 200;
/** The longest text that is kept. */
export const ENTRY_CHARS_MAX = 10_000;

export class History {
  private entries: string[];
  private at: number;
  private draft = '';

  /** Takes up what `toJson` wrote; anything else counts as empty. */
  constructor(json: string | null = null) {
    this.entries = readEntries(json);
    this.at = this.entries.length;
  }

  /** Notes a query that was run, and leaves the walk. */
  push(text: string): void {
    if (text.trim() !== '' && text.length <= ENTRY_CHARS_MAX && this.entries.at(-1) !== text) {
      this.entries = [...this.entries, text].slice(-ENTRIES_MAX);
    }
    this.at = this.entries.length;
    this.draft = '';
  }

  /** The entry before, given what the input holds now; undefined at the oldest. */
  up(current: string): string | undefined {
    if (this.at === 0) return undefined;
    if (this.at === this.entries.length) this.draft = current;
    this.at -= 1;
    return this.entries[this.at];
  }

  /** The entry after, at last what was being typed; undefined when that is shown already. */
  down(): string | undefined {
    if (this.at === this.entries.length) return undefined;
    this.at += 1;
    return this.at === this.entries.length ? this.draft : this.entries[this.at];
  }

  /** What to keep for the next visit. */
  toJson(): string {
    return JSON.stringify(this.entries.filter((entry) => !holdsSecret(entry)));
  }
}

function readEntries(json: string | null): string[] {
  try {
    const value: unknown = JSON.parse(json ?? '[]');
    if (!Array.isArray(value)) return [];
    return value.filter((one) => typeof one === 'string' && one.length <= ENTRY_CHARS_MAX).slice(-ENTRIES_MAX);
  } catch {
    return [];
  }
}
