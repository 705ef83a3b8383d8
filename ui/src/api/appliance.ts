// What the store tells of the appliance: the step from untrusted JSON to it. What is missing, or has a wrong type, counts as 0,
// empty or unknown, so that relays and stores of other versions show what they have.

import { type Failure, networkError, statusError } from './failure';
import { endpoint } from './root';
import { send } from './session';

/** What a relay tells of one of its backends; counts are since its start. */
export interface Backend {
  name: string;
  condition: string;
  written_lines: number;
  queued_batches: number;
  queued_bytes: number;
  queued_age_ms: number;
  queue_bytes: number;
  queue_bytes_max: number;
  tolerable_outage_s: number | null;
  dead_batches: number;
  dead_bytes: number;
  refused_batches: number;
  gap_points: number;
  /** Windows in which the relay's comparer found that it differs from the first backend. */
  divergences: number;
  held: { database: string; batches: number; bytes: number }[];
  last_answer: string;
}

/** Points that a backend will never get from the relay. */
export interface Gap {
  backend: string;
  database: string;
  first_ns: bigint;
  last_ns: bigint;
  points: number;
  reason: string;
}

export interface Relay {
  url: string;
  error?: string;
  backends: Backend[];
  gaps: Gap[];
}

export interface Shard {
  id: number;
  database: string;
  policy: string;
  start_ms: number;
  end_ms: number;
  files: number;
  file_bytes: number;
  memtable_bytes: number;
  series: number;
  tombstones: number;
}

export interface SlowQuery {
  query: string;
  database: string;
  took_ms: number;
  ago_ms: number;
}

/** What a store tells of itself; counts are since its start. */
export interface Store {
  name: string;
  version: string;
  uptime_ms: number;
  refusal?: string;
  series: number;
  databases: number;
  shards_all: number;
  shards: Shard[];
  file_bytes: number;
  files: number;
  tombstones: number;
  damaged: string[];
  disk_free_bytes: number | null;
  memory: Record<string, number>;
  wal_bytes: number;
  flushes: number;
  flush_failures: number;
  compaction: Record<string, number>;
  counts: Record<string, number>;
  slow: SlowQuery[];
}

export interface Peer {
  url: string;
  error?: string;
  store?: Store;
}

/** One look at the appliance. */
export interface Look {
  /** The store's clock. */
  now_ms: number;
  store: Store;
  relays: Relay[];
  peers: Peer[];
}

/** Asks the store. Never throws, but for `signal`. */
export async function lookAt(page: string, signal: AbortSignal): Promise<{ look?: Look; failure?: Failure }> {
  try {
    const response = await send(endpoint(page, 'appliance', {}), { signal });
    const text = await response.text();
    if (!response.ok) return { failure: statusError(response.status, response.statusText, text) };
    return { look: readLook(parsed(text)) };
  } catch (error) {
    if (signal.aborted) throw error;
    return { failure: networkError(new URL(page).host) };
  }
}

/** Reads one look. Big integers come as texts with an `n`. */
export function readLook(json: unknown): Look {
  const all = object(json);
  return {
    now_ms: number(all['now_ms']),
    store: readStore(all['store']),
    relays: list(all['relays']).map(readRelay),
    peers: list(all['peers']).map((value) => {
      const peer = object(value);
      const told = peer['store'];
      return { url: text(peer['url']), ...error(peer), ...(told === undefined || told === null ? {} : { store: readStore(told) }) };
    }),
  };
}

/** Nanoseconds do not fit into a number: they come as texts. */
function parsed(body: string): unknown {
  return JSON.parse(body.replace(/"((?:first|last)_ns)":(-?\d+)/g, '"$1":"$2"'));
}

function readRelay(value: unknown): Relay {
  const relay = object(value);
  return {
    url: text(relay['url']),
    ...error(relay),
    backends: list(relay['backends']).map(readBackend),
    gaps: list(relay['gaps']).flatMap((one) => {
      const of_backend = object(one);
      return list(of_backend['gaps']).map((range) => readGap(text(of_backend['name']), object(range)));
    }),
  };
}

function readBackend(value: unknown): Backend {
  const json = object(value);
  const outage = json['tolerable_outage_s'];
  return {
    name: text(json['name']),
    condition: text(json['condition']),
    written_lines: number(json['written_lines']),
    queued_batches: number(json['queued_batches']),
    queued_bytes: number(json['queued_bytes']),
    queued_age_ms: number(json['queued_age_ms']),
    queue_bytes: number(json['queue_bytes']),
    queue_bytes_max: number(json['queue_bytes_max']),
    tolerable_outage_s: typeof outage === 'number' ? outage : null,
    dead_batches: number(json['dead_batches']),
    dead_bytes: number(json['dead_bytes']),
    refused_batches: number(json['refused_batches']),
    gap_points: number(json['gap_points']),
    divergences: number(json['divergences']),
    held: list(json['held']).map((one) => {
      const held = object(one);
      return { database: text(held['database']), batches: number(held['batches']), bytes: number(held['bytes']) };
    }),
    last_answer: text(json['last_answer']),
  };
}

function readGap(backend: string, json: Json): Gap {
  return {
    backend,
    database: text(json['database']),
    first_ns: whole(json['first_ns']),
    last_ns: whole(json['last_ns']),
    points: number(json['points']),
    reason: text(json['reason']),
  };
}

function readStore(value: unknown): Store {
  const json = object(value);
  const levels = list(json['levels']).map(object);
  const sum = (key: string): number => levels.reduce((all, level) => all + number(level[key]), 0);
  const refusal = text(json['refusal']);
  const free = json['disk_free_bytes'];
  return {
    name: text(json['name']),
    version: text(json['version']),
    uptime_ms: number(json['uptime_ms']),
    ...(refusal === '' ? {} : { refusal }),
    series: number(json['series']),
    databases: number(json['databases']),
    shards_all: number(json['shards_all']),
    shards: list(json['shards']).map(readShard),
    file_bytes: sum('bytes'),
    files: sum('files'),
    tombstones: number(json['tombstones']),
    damaged: list(json['damaged']).map(text),
    disk_free_bytes: typeof free === 'number' ? free : null,
    memory: numbers(json['memory']),
    wal_bytes: number(json['wal_bytes']),
    flushes: number(json['flushes']),
    flush_failures: number(json['flush_failures']),
    compaction: numbers(json['compaction']),
    counts: numbers(json['counts']),
    slow: list(json['slow']).map((one) => {
      const slow = object(one);
      return {
        query: text(slow['query']),
        database: text(slow['database']),
        took_ms: number(slow['took_ms']),
        ago_ms: number(slow['ago_ms']),
      };
    }),
  };
}

function readShard(value: unknown): Shard {
  const json = object(value);
  return {
    id: number(json['id']),
    database: text(json['database']),
    policy: text(json['policy']),
    start_ms: number(json['start_ms']),
    end_ms: number(json['end_ms']),
    files: number(json['files']),
    file_bytes: number(json['file_bytes']),
    memtable_bytes: number(json['memtable_bytes']),
    series: number(json['series']),
    tombstones: number(json['tombstones']),
  };
}

type Json = Record<string, unknown>;

function error(json: Json): { error?: string } {
  return typeof json['error'] === 'string' ? { error: json['error'] } : {};
}

function object(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function numbers(value: unknown): Record<string, number> {
  return Object.fromEntries(Object.entries(object(value)).map(([key, one]) => [key, number(one)]));
}

function whole(value: unknown): bigint {
  return typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? BigInt(value) : 0n;
}
