// The view Appliance: one look says whether all is well, and where not. It looks every two seconds while it is seen; a store that
// does not answer is said as such over what was known last.

import { type Look, lookAt } from '../api/appliance';
import { readAnswer, type Series } from '../api/answer';
import { serverError } from '../api/failure';
import { type Outcome, runQuery } from '../api/query';
import { endpoint } from '../api/root';
import { send } from '../api/session';
import { askBoard } from '../boards/ask';
import { type Compared, compare, comparedRange, countsOf, countsStatement } from '../boards/difference';
import { HISTORY_PANELS, INTERNAL } from '../boards/history';
import { HOST_STATEMENTS, hostsOf, SILENT_AFTER_S } from '../boards/hosts';
import { pointsOf } from '../boards/points';
import { Rates } from '../boards/rates';
import { differenceOf, isCatchingUp, type Reporting, silentOf, type Trouble, troublesOf, verdictOf } from '../boards/troubles';
import { age } from '../boards/units';
import { backendKey, chainView } from './chain';
import { Chart } from './chart';
import { make } from './dom';
import { failureView } from './notice';
import { redraw } from './redraw';
import { runningOf, runningTable, slowTable } from './running';
import type { Source } from './source';
import { differenceView, shardsTable, storeKey, storesOf, storesTable } from './stores';
import type { View } from './views';

/** Between two looks, in milliseconds. */
const LOOK_MS = 2_000;
/** Between two looks at what changes slowly: hosts, and the charts. */
const SLOW_MS = 10_000;
/** Between two comparisons of the stores. */
const COMPARE_MS = 15_000;
/** What the charts span, in seconds. */
const RANGE_S = 3_600;

export class ApplianceView implements View {
  private readonly verdict = make('p', { class: 'verdict', role: 'status' });
  private readonly trouble = make('div', {});
  private readonly troubles = make('ul', { class: 'troubles', 'aria-label': 'What needs a look' });
  private readonly chain = make('div', {});
  private readonly stores = make('div', {});
  private readonly difference = make('div', {});
  private readonly gaps = make('div', {});
  private readonly running = make('div', {});
  private readonly slow = make('div', {});
  private readonly shards = make('div', {});
  private readonly charts: Chart[];
  private readonly rates = new Rates();
  /** Since when each trouble is seen, by its beginning; the numbers in its text change. */
  private readonly since = new Map<string, number>();
  private timers: number[] = [];
  private stop = new AbortController();
  private look: Look | undefined;
  private reporting: Reporting | undefined;
  private compared: Compared | undefined;
  private is_looking = false;

  constructor(
    place: HTMLElement,
    private readonly source: Source,
    private readonly heard: (outcome: Pick<Outcome, 'answered'>) => void,
  ) {
    const span = (): { from_s: number; to_s: number } => ({ from_s: Date.now() / 1_000 - RANGE_S, to_s: Date.now() / 1_000 });
    this.charts = HISTORY_PANELS.map((panel) => new Chart({ ...panel, span }));
    const part = (title: string, ...views: HTMLElement[]): HTMLElement => make('section', { class: 'part' }, make('h2', {}, title), ...views);
    place.append(
      this.verdict,
      this.trouble,
      this.troubles,
      this.chain,
      part('Stores', this.stores),
      part('Difference between the stores', this.difference),
      part('Outages and gaps', this.gaps),
      part('Running queries', this.running),
      part('Slow queries', this.slow),
      part('The last hour of this store', make('div', { class: 'charts' }, ...this.charts.map((chart) => chart.element))),
      part('Shards of this store', this.shards),
    );
  }

  shown(): void {
    this.stop = new AbortController();
    const again = (every_ms: number, run: () => Promise<void>): void => {
      const safely = (): void => void run().catch(() => undefined);
      this.timers.push(window.setInterval(() => (document.hidden ? undefined : safely()), every_ms));
      safely();
    };
    again(LOOK_MS, () => this.quick());
    again(SLOW_MS, () => this.slowly());
    again(COMPARE_MS, () => this.compareStores());
  }

  hidden(): void {
    for (const timer of this.timers) clearInterval(timer);
    this.timers = [];
    this.stop.abort();
    this.is_looking = false;
  }

  private async quick(): Promise<void> {
    if (this.is_looking) return;
    this.is_looking = true;
    const { signal } = this.stop;
    try {
      const { look, failure } = await lookAt(document.baseURI, signal);
      this.heard({ answered: look !== undefined || failure?.status !== undefined });
      redraw(this.trouble, ...(failure === undefined ? [] : [failureView(failure)]));
      if (look === undefined) {
        const last = this.look === undefined ? '' : '; below is what it said last';
        this.say('bad', `This store tells nothing${last}`);
        return;
      }
      const is_first = this.look === undefined;
      this.look = look;
      this.count(look);
      this.draw(look);
      if (is_first) void this.compareStores().catch(() => undefined);
      const asked = await runQuery(document.baseURI, '', 'SHOW QUERIES', signal);
      if (signal.aborted) return;
      const running = runningOf(asked.results[0]?.series ?? []);
      redraw(this.running, runningTable(running, (id) => void this.kill(id)));
    } finally {
      if (signal === this.stop.signal) this.is_looking = false;
    }
  }

  private count(look: Look): void {
    const counts = new Map<string, number>();
    for (const relay of look.relays) {
      for (const backend of relay.backends) counts.set(backendKey(relay, backend), backend.written_lines);
    }
    for (const [at, { store }] of storesOf(look).entries()) {
      for (const [name, count] of Object.entries(store?.counts ?? {})) counts.set(storeKey(at, name), count);
    }
    this.rates.add(look.now_ms, counts);
  }

  private draw(look: Look): void {
    const troubles = [...troublesOf(look), ...differenceOf(look, this.compared), ...silentOf(this.reporting)];
    const { level, text } = verdictOf(troubles);
    this.say(level, text);
    redraw(this.troubles, ...troubles.map((trouble) => this.troubleView(trouble, look.now_ms)));
    this.forget(troubles);
    redraw(this.chain, chainView(look, this.reporting, this.rates));
    redraw(this.stores, storesTable(look, this.rates));
    redraw(this.difference, look.peers.length === 0 ? noPeers() : differenceView(this.compared));
    redraw(this.gaps, gapsView(look));
    redraw(this.slow, slowTable(look.store.slow));
    redraw(this.shards, shardsTable(look));
  }

  private say(state: 'good' | 'bad', text: string): void {
    this.verdict.dataset['state'] = state;
    if (this.verdict.textContent !== text) this.verdict.textContent = text;
  }

  private troubleView(trouble: Trouble, now_ms: number): HTMLElement {
    const key = keyOf(trouble);
    const since_ms = this.since.get(key) ?? now_ms;
    this.since.set(key, since_ms);
    const seen = make('span', { class: 'seen' }, `seen for ${age((now_ms - since_ms) / 1_000)}`);
    return make('li', { 'data-state': trouble.level }, make('p', {}, trouble.text), make('p', { class: 'hint' }, trouble.next, ' · ', seen));
  }

  private forget(troubles: readonly Trouble[]): void {
    const keys = new Set(troubles.map(keyOf));
    for (const key of this.since.keys()) if (!keys.has(key)) this.since.delete(key);
  }

  private async slowly(): Promise<void> {
    const { signal } = this.stop;
    const hosts = await askBoard(this.source.value, HOST_STATEMENTS.slice(0, 1), signal);
    if (signal.aborted) return;
    if (hosts.outcome.failure === undefined && hosts.parts[0]?.failure === undefined) {
      const all = hostsOf([hosts.parts[0]?.series ?? []], hosts.outcome.server_s ?? Date.now() / 1_000);
      this.reporting = { hosts: all.length, silent: all.filter((host) => host.age_s > SILENT_AFTER_S).length };
    }
    const { parts, outcome } = await askBoard(INTERNAL, HISTORY_PANELS.map((panel) => panel.statement(RANGE_S)), signal);
    if (signal.aborted) return;
    for (const [at, chart] of this.charts.entries()) {
      const [part, panel] = [parts[at], HISTORY_PANELS[at]];
      const failure = part?.failure ?? outcome.failure;
      if (part === undefined || panel === undefined) continue;
      if (failure !== undefined) chart.fail(`${failure.title}: ${failure.detail}`);
      else chart.show(pointsOf(part.series, panel.label));
    }
  }

  private async compareStores(): Promise<void> {
    const { look, source } = this;
    const { signal } = this.stop;
    if (look === undefined || look.peers.length === 0 || source.value === '') return;
    const range = comparedRange(look.now_ms);
    const clock = (ms: number): string => new Date(ms).toLocaleTimeString('en-GB');
    const told = { database: source.value, range: `${clock(range.from_ms)} to ${clock(range.to_ms)}` };
    try {
      const [here, there] = await Promise.all([
        runQuery(document.baseURI, source.value, countsStatement(range), signal).then((outcome) => {
          const error = outcome.failure?.detail ?? outcome.results[0]?.error;
          if (error !== undefined) throw new Error(error);
          return outcome.results[0]?.series ?? [];
        }),
        this.peerCounts(source.value, range, signal),
      ]);
      const is_catching_up = isCatchingUp(look) || (this.look !== undefined && isCatchingUp(this.look));
      this.compared = { ...told, ...compare(countsOf(here), countsOf(there)), is_catching_up };
    } catch (error) {
      if (signal.aborted) return;
      this.compared = { ...told, failed: error instanceof Error ? error.message : 'no answer' };
    }
    if (this.look !== undefined) this.draw(this.look);
  }

  private async peerCounts(db: string, range: { from_ms: number; to_ms: number }, signal: AbortSignal): Promise<Series[]> {
    const shape = { db, peer: '0', from_ms: String(range.from_ms), to_ms: String(range.to_ms) };
    const response = await send(endpoint(document.baseURI, 'appliance/counts', shape), { signal });
    const answer = readAnswer(await response.text());
    const error = answer.error ?? answer.results[0]?.error;
    if (error !== undefined) throw new Error(error);
    return answer.results[0]?.series ?? [];
  }

  private async kill(id: string): Promise<void> {
    const outcome = await runQuery(document.baseURI, '', `KILL QUERY ${id}`, this.stop.signal);
    const error = outcome.results[0]?.error;
    const failure = outcome.failure ?? (error === undefined ? undefined : serverError(error));
    // One that has ended meanwhile needs no word.
    if (failure !== undefined && !/no such query/.test(failure.detail)) redraw(this.trouble, failureView(failure));
    await this.quick();
  }
}

/** A trouble without what changes from look to look. */
function keyOf(trouble: Trouble): string {
  return trouble.text.replace(/[\d.,]+/g, '').slice(0, 40);
}

function noPeers(): HTMLElement {
  return make('p', { class: 'aside' }, 'This store knows of no other: name it with peers = ["http://HOST:8087"] in [store].');
}

function gapsView(look: Look): HTMLElement {
  const gaps = look.relays.flatMap((relay) => relay.gaps);
  const away = look.relays.flatMap((relay) => relay.backends.filter((backend) => backend.queued_bytes > 0));
  const items = away.map((backend) =>
    make('li', {}, `${backend.name}: since ${age(backend.queued_age_ms / 1_000)}, ${backend.queued_batches.toLocaleString('en-US')} batches wait`),
  );
  const ranges = gaps.map((gap) =>
    make('li', {}, `${gap.backend} lacks ${gap.points.toLocaleString('en-US')} points of ${gap.database}, ${time(gap.first_ns)} to ${time(gap.last_ns)}: ${gap.reason}`),
  );
  if (items.length + ranges.length === 0) return make('p', { class: 'empty' }, 'None: every store has all that the relays were given.');
  return make('ul', { class: 'plain' }, ...items, ...ranges);
}

function time(ns: bigint): string {
  return new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19).replace('T', ' ');
}
