// The words that complete a query: InfluxQL's own, and names out of the chosen data source. Names are asked for when they are
// wanted and kept for half a minute; a store that does not answer offers none.

import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import { runQuery } from '../api/query';
import { fits, type Place, placeAt, type Want } from '../language/complete';
import { asTyped, identifier, literal } from '../language/quote';
import { FUNCTIONS } from '../language/tokens';
import { cellText } from './format';

const KEPT_MS = 30_000;
/** Names that are asked for at once. */
const NAMES_MAX = 2_000;
/** Texts of statements whose names are kept. */
const KEPT_MAX = 64;

/** A name, and what it is. */
interface Name {
  name: string;
  detail: string;
}

export class Offers {
  private readonly kept = new Map<string, { at_ms: number; names: Promise<Name[]> }>();

  /** `database` is the chosen data source. */
  constructor(private readonly database: () => string) {}

  /** For the editor. */
  readonly complete = async (context: CompletionContext): Promise<CompletionResult | null> => {
    const text = context.state.doc.toString();
    const place = placeAt(text, context.pos);
    const typed = text.slice(place.from + (place.quote === undefined ? 0 : 1), context.pos);
    // Offers come by themselves within a word, and behind a quote or a blank after FROM and the like.
    const names_only = place.keywords.length === 0 && !place.wants.includes('keyword');
    if (!context.explicit && typed === '' && place.quote === undefined && !(names_only && /\s$/.test(text.slice(0, context.pos)))) return null;
    const lists = await Promise.all(place.wants.map((want) => this.words(want, place)));
    if (context.aborted) return null;
    const options = lists.flat().filter((option) => fits(option.label, typed));
    // A word that stands there already needs no offer.
    if (options.length === 0 || (options.length === 1 && options[0]?.label.toLowerCase() === typed.toLowerCase())) return null;
    return { from: place.from, options, filter: false };
  };

  /** Forgets what it knows of the store. */
  clear(): void {
    this.kept.clear();
  }

  private async words(want: Want, place: Place): Promise<Completion[]> {
    const from = place.measurement === undefined ? '' : ` FROM ${identifier(place.measurement)}`;
    switch (want) {
      case 'keyword':
        return place.quote === undefined ? place.keywords.map((label) => ({ label })) : [];
      case 'function':
        return place.quote === undefined ? FUNCTIONS.map((name) => ({ label: `${name}(`, detail: 'function' })) : [];
      case 'measurement':
        return this.offered(place, await this.names(`SHOW MEASUREMENTS LIMIT ${NAMES_MAX}`, 0, () => ''));
      case 'field':
        return this.offered(place, await this.names(`SHOW FIELD KEYS${from}`, 0, (row) => `field, ${cellText(row[1] ?? '')}`));
      case 'tag':
        return this.offered(place, await this.names(`SHOW TAG KEYS${from}`, 0, () => 'tag'));
      case 'database':
        return this.offered(place, await this.names('SHOW DATABASES', 0, () => ''));
      case 'value': {
        if (place.tag === undefined) return [];
        const ask = `SHOW TAG VALUES${from} WITH KEY = ${identifier(place.tag)} LIMIT ${NAMES_MAX}`;
        const values = await this.names(ask, 1, () => '');
        return values.map(({ name }) => ({ label: name, apply: literal(name) }));
      }
    }
  }

  private offered(place: Place, names: readonly Name[]): Completion[] {
    return names.map(({ name, detail }) => ({
      label: name,
      apply: place.quote === '"' ? identifier(name) : asTyped(name),
      ...(detail === '' ? {} : { detail }),
    }));
  }

  /** The names in a column of an answer, each once. */
  private names(statement: string, column: number, detail: (row: readonly Cells[]) => string): Promise<Name[]> {
    const database = this.database();
    const key = JSON.stringify([database, statement]);
    const kept = this.kept.get(key);
    if (kept !== undefined && performance.now() - kept.at_ms < KEPT_MS) return kept.names;
    const names = runQuery(document.baseURI, database, statement, AbortSignal.timeout(3_000)).then((outcome) => {
      const rows = (outcome.results[0]?.series ?? []).flatMap((series) => series.rows);
      const found = new Map(rows.map((row) => [cellText(row[column] ?? ''), detail(row)]));
      return [...found].slice(0, NAMES_MAX).map(([name, words]) => ({ name, detail: words }));
    });
    if (this.kept.size >= KEPT_MAX) this.kept.clear();
    this.kept.set(key, { at_ms: performance.now(), names });
    return names;
  }
}

type Cells = Parameters<typeof cellText>[0];
