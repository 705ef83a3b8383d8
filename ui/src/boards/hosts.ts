// What the board of hosts asks: one line a host with its state, then charts of the hosts that were chosen.

import type { Series } from '../api/answer';
import type { ChartOptions } from '../view/chart';
import { nanoseconds } from '../view/format';
import { literal } from '../language/quote';
import { since, windows } from './range';

/** A host, or a container, that did not report for this long is silent, in seconds. */
export const SILENT_AFTER_S = 60;
/** How far back it is looked for those that are silent. */
const KNOWN_FOR = '1d';

/** A host as the list shows it. Percent are of 0 to 100. */
export interface Host {
  name: string;
  /** Seconds since its last point. */
  age_s: number;
  cpu: number | null;
  memory: number | null;
  memory_bytes: number | null;
  memory_bytes_max: number | null;
  disk: number | null;
  load: number | null;
  cpus: number | null;
  uptime_s: number | null;
}

/** The statements behind the list, in the order that `hostsOf` takes their answers. */
export const HOST_STATEMENTS: readonly string[] = [
  `SELECT last("load1"), "n_cpus" FROM "system" WHERE time > now() - ${KNOWN_FOR} GROUP BY "host"`,
  `SELECT last("uptime") FROM "system" WHERE time > now() - ${KNOWN_FOR} GROUP BY "host"`,
  `SELECT mean("usage_idle") FROM "cpu" WHERE "cpu" = 'cpu-total' AND time > now() - 1m GROUP BY "host"`,
  `SELECT last("used_percent"), "used", "total" FROM "mem" WHERE time > now() - ${KNOWN_FOR} GROUP BY "host"`,
  `SELECT max("used_percent") FROM "disk" WHERE time > now() - 2m GROUP BY "host"`,
];

/** The list, silent hosts first, then by name. `now_s` is the clock of the server. */
export function hostsOf(answers: readonly (readonly Series[])[], now_s: number): Host[] {
  const [load, uptime, idle, memory, disk] = answers.map((series) => byTag(series, 'host'));
  const hosts = [...(load?.entries() ?? [])].map(([name, series]): Host => {
    const busy = cell(idle?.get(name), 1);
    return {
      name,
      age_s: now_s - timeOf(series),
      cpu: busy === null ? null : 100 - busy,
      memory: cell(memory?.get(name), 1),
      memory_bytes: cell(memory?.get(name), 2),
      memory_bytes_max: cell(memory?.get(name), 3),
      disk: cell(disk?.get(name), 1),
      load: cell(series, 1),
      cpus: cell(series, 2),
      uptime_s: cell(uptime?.get(name), 1),
    };
  });
  const silent = (host: Host): number => (host.age_s > SILENT_AFTER_S ? 0 : 1);
  return hosts.sort((a, b) => silent(a) - silent(b) || a.name.localeCompare(b.name, 'en', { numeric: true }));
}

/** What all hosts that report use and have; null where none of them tells. */
export interface HostSum {
  live: number;
  silent: number;
  /** Of those that tell how busy they are and how many they have. */
  cpus_busy: number | null;
  cpus: number | null;
  memory_bytes: number | null;
  memory_bytes_max: number | null;
}

/** Sums over the hosts that report: what a silent one said last is no use of today. */
export function hostSum(hosts: readonly Host[]): HostSum {
  const live = hosts.filter((host) => host.age_s <= SILENT_AFTER_S);
  const counted = live.flatMap(({ cpu, cpus }) => (cpu === null || cpus === null ? [] : [{ busy: (cpu / 100) * cpus, cpus }]));
  const filled = live.flatMap(({ memory_bytes: used, memory_bytes_max: all }) => (used === null || all === null ? [] : [{ used, all }]));
  return {
    live: live.length,
    silent: hosts.length - live.length,
    cpus_busy: sum(counted.map((one) => one.busy)),
    cpus: sum(counted.map((one) => one.cpus)),
    memory_bytes: sum(filled.map((one) => one.used)),
    memory_bytes_max: sum(filled.map((one) => one.all)),
  };
}

/** The sum; null of nothing. */
export function sum(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((all, value) => all + value, 0);
}

/** Series by the value of a tag. */
export function byTag(all: readonly Series[], tag: string): Map<string, Series> {
  return new Map(all.map((series) => [series.tags[tag] ?? '', series]));
}

/** A number of the first row. */
export function cell(series: Series | undefined, column: number): number | null {
  const value = series?.rows[0]?.[column];
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'number' ? value : null;
}

/** The time of the first row, in seconds since 1970. */
export function timeOf(series: Series | undefined): number {
  const text = series?.rows[0]?.[0];
  const ns = typeof text === 'string' ? nanoseconds(text) : undefined;
  return ns === undefined ? 0 : Number(ns) / 1e9;
}

/** A chart of a board: what it asks, and how its lines are called. */
export interface Panel extends ChartOptions {
  statement(range_s: number): string;
  label(series: Series, column: string): string;
  scale?: number;
}

/** All that a CPU does but idle, so that the lines add up to what the list says. What guests take is not in `user` and `nice`. */
const CPU_STATES = [
  '100 - mean("usage_idle") AS "in all"',
  ...['user', 'nice', 'system', 'iowait', 'steal'].map((state) => `mean("usage_${state}") AS "${state}"`),
  'mean("usage_irq") + mean("usage_softirq") AS "interrupts"',
  'mean("usage_guest") + mean("usage_guest_nice") AS "guests"',
].join(', ');

/** The charts of one host. */
export function hostPanels(host: string): Panel[] {
  const only = `"host" = ${literal(host)}`;
  const column = (_: Series, name: string): string => name;
  const tag = (key: string) => (series: Series): string => series.tags[key] ?? '';
  return [
    {
      title: 'CPU by state',
      unit: 'percent',
      low: 0,
      high: 100,
      statement: (range_s) =>
        `SELECT ${CPU_STATES} FROM "cpu" WHERE "cpu" = 'cpu-total' AND ${only} AND ${since(range_s)} ${windows(range_s)} fill(null)`,
      label: column,
    },
    {
      title: 'Load',
      unit: 'plain',
      low: 0,
      statement: (range_s) =>
        `SELECT mean("load1") AS "1 min", mean("load5") AS "5 min", mean("load15") AS "15 min" FROM "system" WHERE ${only} AND ${since(range_s)} ${windows(range_s)} fill(null)`,
      label: column,
    },
    {
      title: 'Memory',
      unit: 'bytes',
      low: 0,
      statement: (range_s) =>
        `SELECT mean("used") AS "used", mean("cached") AS "cached", mean("buffered") AS "buffered", mean("available") AS "available" FROM "mem" WHERE ${only} AND ${since(range_s)} ${windows(range_s)} fill(null)`,
      label: column,
    },
    {
      title: 'Disks, space used',
      unit: 'percent',
      low: 0,
      high: 100,
      statement: (range_s) =>
        `SELECT mean("used_percent") FROM "disk" WHERE ${only} AND ${since(range_s)} ${windows(range_s, '"path"')} fill(null)`,
      label: tag('path'),
    },
    {
      title: 'Network, received and sent',
      unit: 'bytes/s',
      low: 0,
      statement: (range_s) =>
        `SELECT non_negative_derivative(last("bytes_recv"), 1s) AS "received", non_negative_derivative(last("bytes_sent"), 1s) AS "sent" FROM "net" WHERE ${only} AND "interface" !~ /^(lo|all|veth.*)$/ AND ${since(range_s)} ${windows(range_s, '"interface"')}`,
      label: (series, name) => `${series.tags['interface'] ?? ''} ${name}`,
    },
    {
      title: 'Disks, read and written',
      unit: 'bytes/s',
      low: 0,
      statement: (range_s) =>
        `SELECT non_negative_derivative(last("read_bytes"), 1s) AS "read", non_negative_derivative(last("write_bytes"), 1s) AS "written" FROM "diskio" WHERE ${only} AND ${since(range_s)} ${windows(range_s, '"name"')}`,
      label: (series, name) => `${series.tags['name'] ?? ''} ${name}`,
    },
  ];
}
