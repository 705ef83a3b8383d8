// What there is in a database: its policies and sizes, its measurements, and of the chosen one the fields with their types and the tag
// keys with the number of their values.

import { lookAt } from '../api/appliance';
import { askBoard, type Part } from '../boards/ask';
import { inUnit } from '../boards/units';
import type { Outcome } from '../api/query';
import { identifier, lastPoints } from '../language/quote';
import { button, make } from './dom';
import { cellText, count } from './format';
import { failureView } from './notice';
import { pageHash } from './link';
import type { Source } from './source';
import type { View } from './views';

/** Measurements that are listed; a filter finds the others. */
const LISTED_MAX = 500;
/** How long it is waited for the sizes, in milliseconds. */
const SIZE_MS = 5_000;
/** Values of a tag that are shown. */
const VALUES_SHOWN = 50;

export class ExploreView implements View {
  private readonly trouble = make('div', {});
  private readonly policies = make('div', {});
  private readonly filter = make('input', { id: 'explore-filter', type: 'search', placeholder: 'Filter', spellcheck: 'false' });
  private readonly names = make('ul', { class: 'names', 'aria-label': 'Measurements' });
  private readonly detail = make('div', { class: 'detail', role: 'region', 'aria-live': 'polite' });
  private all: string[] = [];
  private chosen = '';
  private of_database: string | undefined;
  private asking: AbortController | undefined;

  constructor(
    place: HTMLElement,
    private readonly source: Source,
    private readonly heard: (outcome: Outcome) => void,
    private readonly ask: (text: string) => void,
  ) {
    const label = make('label', { for: 'explore-filter' }, 'Measurements');
    const side = make('div', { class: 'side' }, label, this.filter, this.names);
    place.append(this.trouble, this.policies, make('div', { class: 'explore' }, side, this.detail));
    this.filter.addEventListener('input', () => this.list());
  }

  shown(): void {
    void this.look();
  }

  hidden(): void {
    this.asking?.abort();
  }

  /** Asks the database again; the choice stays when it is still the same one. */
  async look(): Promise<void> {
    const database = this.source.value;
    if (database !== this.of_database) {
      this.chosen = '';
      this.detail.replaceChildren();
    }
    this.of_database = database;
    const statements = [
      `SHOW RETENTION POLICIES ON ${identifier(database)}`,
      'SHOW MEASUREMENTS',
      `SHOW SERIES CARDINALITY ON ${identifier(database)}`,
    ];
    const [policies, measurements, series] = await this.send(statements);
    if (policies === undefined || measurements === undefined) return;
    this.drawPolicies(policies, series);
    void this.drawSize(database);
    this.all = firstColumn(measurements);
    this.list();
    if (this.chosen !== '') await this.choose(this.chosen);
    else if (this.all.length > 0) this.detail.replaceChildren(make('p', { class: 'aside' }, 'Choose a measurement to see its fields, their types, and its tags.'));
  }

  private async send(statements: string[]): Promise<Part[]> {
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    const { parts, outcome } = await askBoard(this.source.value, statements, asking.signal);
    if (asking.signal.aborted) return [];
    this.heard(outcome);
    const failure = outcome.failure ?? parts.find((part) => part.failure !== undefined)?.failure;
    this.trouble.replaceChildren(...(failure === undefined ? [] : [failureView(failure)]));
    return outcome.failure === undefined ? parts : [];
  }

  private drawPolicies(policies: Part, series: Part | undefined): void {
    const rows = policies.series[0]?.rows ?? [];
    const items = rows.map((row) => {
      const [name, duration, shard, , is_default] = row;
      const kept = duration === '0s' ? 'kept for ever' : `kept for ${cellText(duration ?? '')}`;
      const words = `${kept}, shards of ${cellText(shard ?? '')}${is_default === true ? ', default' : ''}`;
      return make('li', {}, make('span', { class: 'tag-key' }, `${cellText(name ?? '')} `), words);
    });
    const known = series?.series[0]?.rows[0]?.[0];
    if (typeof known === 'number') items.push(make('li', {}, make('span', { class: 'tag-key' }, 'series '), inUnit(known, 'plain')));
    this.policies.replaceChildren(make('ul', { class: 'tags', 'aria-label': 'Retention policies' }, ...items));
  }

  /** What the database takes on disk; left out where the person may not know it. */
  private async drawSize(database: string): Promise<void> {
    const { look } = await lookAt(document.baseURI, AbortSignal.timeout(SIZE_MS)).catch(() => ({ look: undefined }));
    const shards = look?.store.shards.filter((shard) => shard.database === database) ?? [];
    if (look === undefined || database !== this.of_database) return;
    const sum = (key: 'files' | 'file_bytes' | 'memtable_bytes'): number => shards.reduce((all, shard) => all + shard[key], 0);
    const words = `${inUnit(sum('file_bytes'), 'bytes')} in ${count(sum('files'), 'file')} of ${count(shards.length, 'shard')}, ${inUnit(sum('memtable_bytes'), 'bytes')} in memory`;
    this.policies.querySelector('ul')?.append(make('li', {}, make('span', { class: 'tag-key' }, 'size '), words));
  }

  private list(): void {
    const wanted = this.filter.value.trim().toLowerCase();
    const found = this.all.filter((name) => name.toLowerCase().includes(wanted));
    const items = found.slice(0, LISTED_MAX).map((name) =>
      make(
        'li',
        {},
        button(name, { class: 'look', 'aria-pressed': String(name === this.chosen) }, () => void this.choose(name)),
      ),
    );
    if (found.length > LISTED_MAX) items.push(make('li', { class: 'aside' }, `and ${found.length - LISTED_MAX} more`));
    if (found.length === 0) items.push(make('li', { class: 'aside' }, 'none'));
    this.names.replaceChildren(...items);
  }

  private async choose(name: string): Promise<void> {
    this.chosen = name;
    this.list();
    const from = identifier(name);
    const [fields, tags] = await this.send([`SHOW FIELD KEYS FROM ${from}`, `SHOW TAG KEYS FROM ${from}`]);
    if (fields === undefined || tags === undefined) return;
    const keys = firstColumn(tags);
    const values = await this.send(
      keys.flatMap((key) => [
        `SHOW TAG VALUES EXACT CARDINALITY FROM ${from} WITH KEY = ${identifier(key)}`,
        `SHOW TAG VALUES FROM ${from} WITH KEY = ${identifier(key)} LIMIT ${VALUES_SHOWN}`,
      ]),
    );
    if (keys.length > 0 && values.length === 0) return;
    const fieldRows = (fields.series[0]?.rows ?? []).map((row) =>
      make('tr', {}, make('td', {}, cellText(row[0] ?? '')), make('td', {}, cellText(row[1] ?? ''))),
    );
    const tagRows = keys.map((key, at) => {
      const known = values[at * 2]?.series[0]?.rows[0]?.[0] ?? null;
      const shown = (values[at * 2 + 1]?.series[0]?.rows ?? []).map((row) => cellText(row[1] ?? ''));
      const cut = typeof known === 'number' && known > shown.length ? ' …' : '';
      return make('tr', {}, make('td', {}, key), make('td', { class: 'number' }, cellText(known)), make('td', {}, shown.join(', ') + cut));
    });
    const query = lastPoints(name);
    const open = make('a', { class: 'button', href: pageHash(this.source.value, query) }, 'Last 100 points');
    open.addEventListener('click', (event) => {
      event.preventDefault();
      this.ask(query);
    });
    this.detail.replaceChildren(
      make('div', { class: 'series-head' }, make('h2', {}, name), open),
      table('Fields', ['Field', 'Type'], fieldRows),
      table('Tags', ['Tag', 'Values', 'Some of them'], tagRows),
    );
  }
}

function table(title: string, heads: string[], rows: HTMLElement[]): HTMLElement {
  const cells = heads.map((text) => make('th', { scope: 'col', class: text === 'Values' ? 'number' : '' }, text));
  const caption = make('caption', { class: 'unseen' }, title);
  const view = make('table', {}, caption, make('thead', {}, make('tr', {}, ...cells)), make('tbody', {}, ...rows));
  return make('div', { class: 'series' }, make('div', { class: 'scroll wrap' }, view));
}

function firstColumn(part: Part): string[] {
  return part.series.flatMap((series) => series.rows.map((row) => cellText(row[0] ?? '')));
}
