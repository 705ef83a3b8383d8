// The stores side by side, a figure a row, and where they differ; then the shards of this one.

import type { Look, Shard, Store } from '../api/appliance';
import { type Compared, differWords } from '../boards/difference';
import type { Rates } from '../boards/rates';
import { age, inUnit, type Unit } from '../boards/units';
import { make } from './dom';

/** Differences that are named. */
const DIFFERENCES_SHOWN = 20;

/** The name of a store's count among the rates. */
export function storeKey(at: number, count: string): string {
  return `store ${at} ${count}`;
}

/** All stores of a look, this one first. */
export function storesOf(look: Look): { title: string; store: Store | undefined }[] {
  const peers = look.peers.map((peer) => ({ title: peer.store?.name || peer.url, store: peer.store }));
  return [{ title: `${look.store.name} (this page)`, store: look.store }, ...peers];
}

export function storesTable(look: Look, rates: Rates): HTMLElement {
  const stores = storesOf(look);
  const rows: HTMLElement[] = [];
  const row = (name: string, text: (store: Store, at: number) => string, is_bad: (store: Store) => boolean = () => false): void => {
    const cells = stores.map(({ store }, at) => {
      const bad = store !== undefined && is_bad(store);
      return make('td', { class: bad ? 'heard' : '', 'data-state': bad ? 'bad' : 'good' }, store === undefined ? '–' : text(store, at));
    });
    rows.push(make('tr', {}, make('th', { scope: 'row' }, name), ...cells));
  };
  const amount = (name: string, unit: Unit, value: (store: Store) => number | null): void => row(name, (store) => inUnit(value(store), unit));
  const bounded = (name: string, used: string, max: string): void =>
    row(name, ({ memory }) => `${inUnit(memory[used] ?? 0, 'bytes')} of ${inUnit(memory[max] ?? 0, 'bytes')}`);
  row('Writes', (store) => store.refusal ?? 'taken', (store) => store.refusal !== undefined);
  row('Up for', (store) => age(store.uptime_ms / 1_000));
  row('Points', (_, at) => inUnit(rates.of(storeKey(at, 'points_written')), 'per second'));
  row('Queries', (_, at) => inUnit(rates.of(storeKey(at, 'queries')), 'per second'));
  amount('Points dropped', 'plain', (store) => store.counts['points_dropped'] ?? 0);
  row('Requests refused as too many', (store) => inUnit(store.counts['throttled'] ?? 0, 'plain'), (store) => (store.counts['throttled'] ?? 0) > 0);
  amount('Series', 'plain', (store) => store.series);
  row('Databases, shards', (store) => `${store.databases}, ${store.shards_all}`);
  row('Block files', (store) => `${inUnit(store.files, 'plain')} of ${inUnit(store.file_bytes, 'bytes')}`);
  amount('Write-ahead log', 'bytes', (store) => store.wal_bytes);
  amount('Disk free', 'bytes', (store) => store.disk_free_bytes);
  amount('Memory of the process', 'bytes', (store) => store.memory['resident_bytes'] ?? null);
  row('Memory for rows', ({ memory }) => `${inUnit((memory['memtable_bytes'] ?? 0) + (memory['writing_bytes'] ?? 0), 'bytes')} of ${inUnit(memory['writes_bytes_max'] ?? 0, 'bytes')}`);
  bounded('Memory for queries', 'query_bytes', 'query_bytes_max');
  bounded('Memory for cached blocks', 'cache_bytes', 'cache_bytes_max');
  amount('Memory for the index', 'bytes', (store) => store.memory['index_bytes'] ?? 0);
  row('Flushes, failed', (store) => `${inUnit(store.flushes, 'plain')}, ${store.flush_failures}`, (store) => store.flush_failures > 0);
  row('Compactions, failed', ({ compaction }) => `${inUnit(compaction['merges'] ?? 0, 'plain')}, ${compaction['failures'] ?? 0}`, ({ compaction }) => (compaction['failures'] ?? 0) > 0);
  row('Written a byte by compaction', ({ compaction }) => `${(compaction['amplification'] ?? 1).toFixed(2)} times`);
  row('Deletions to be merged', (store) => inUnit(store.tombstones, 'plain'));
  row('Damaged files', (store) => String(store.damaged.length), (store) => store.damaged.length > 0);
  const heads = stores.map(({ title }) => make('th', { scope: 'col' }, title));
  return table('Stores', make('tr', {}, make('td', {}), ...heads), rows);
}

/** Whether the stores hold the same. */
export function differenceView(compared: Compared | undefined): HTMLElement {
  if (compared === undefined) return make('p', { class: 'aside' }, 'Not compared yet.');
  const where = `in ${compared.database}, ${compared.range}`;
  if ('failed' in compared) return make('p', { class: 'note' }, `Not compared ${where}: ${compared.failed}`);
  const { values, differences } = compared;
  if (differences.length === 0 && values === 0) return make('p', { class: 'aside' }, `Nothing to compare ${where}: no values on either side.`);
  if (differences.length === 0) {
    return make('p', { class: 'empty', 'data-difference': '0' }, `The same ${values.toLocaleString('en-US')} values on both sides, ${where}.`);
  }
  const rows = differences
    .slice(0, DIFFERENCES_SHOWN)
    .map(({ name, here, there }) =>
      make('tr', {}, make('td', {}, name), ...[here, there].map((count) => make('td', { class: 'number' }, count.toLocaleString('en-US')))),
    );
  const heads = ['Measurement', 'Values here', 'There'].map((text) => make('th', { scope: 'col' }, text));
  const words = `${differWords(differences)}, ${where}. While a queue drains this is as it should be; else: tandem repair.`;
  return make('div', { 'data-difference': String(differences.length) }, make('p', { class: 'note' }, words), table('Differences', make('tr', {}, ...heads), rows));
}

export function shardsTable(look: Look): HTMLElement {
  const { shards, shards_all } = look.store;
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
  const rows = shards.map((shard: Shard) =>
    make(
      'tr',
      {},
      make('td', {}, String(shard.id)),
      make('td', {}, `${shard.database}.${shard.policy}`),
      make('td', {}, day(shard.start_ms)),
      make('td', {}, day(shard.end_ms)),
      ...[inUnit(shard.series, 'plain'), String(shard.files), inUnit(shard.file_bytes, 'bytes'), inUnit(shard.memtable_bytes, 'bytes'), String(shard.tombstones)].map(
        (text) => make('td', { class: 'number' }, text),
      ),
    ),
  );
  const heads = ['Shard', 'Policy', 'From (UTC)', 'To (UTC)', 'Series', 'Files', 'On disk', 'In memory', 'Deletions'].map((text, at) =>
    make('th', { scope: 'col', class: at > 3 ? 'number' : '' }, text),
  );
  const view = table('Shards', make('tr', {}, ...heads), rows);
  if (shards_all > shards.length) view.append(make('p', { class: 'note' }, `The newest ${shards.length} of ${shards_all}.`));
  return view;
}

function table(caption: string, head: HTMLElement, rows: HTMLElement[]): HTMLElement {
  const view = make('table', {}, make('caption', { class: 'unseen' }, caption), make('thead', {}, head), make('tbody', {}, ...rows));
  return make('div', { class: 'series' }, make('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': caption }, view));
}
