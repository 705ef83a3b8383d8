// What the board of containers asks: the most demanding ones, those that fell silent, and charts of the one that was chosen.

import type { Series } from '../api/answer';
import { literal } from '../language/quote';
import { cell, type Panel, SILENT_AFTER_S, sum, timeOf } from './hosts';
import { since, windows } from './range';

/** How far back it is looked for containers that are silent now, in seconds. */
const KNOWN_FOR_S = 3_600;

/** A container as the list shows it. */
export interface Container {
  host: string;
  name: string;
  image: string;
  /** Seconds since its last point. */
  age_s: number;
  /** Percent of one core. */
  cpu: number | null;
  memory_bytes: number | null;
  /** Percent of its limit. */
  memory: number | null;
}

const GROUP = 'GROUP BY "host", "container_name", "container_image"';

/** The statements behind the list, in the order that `containersOf` takes their answers. */
export const CONTAINER_STATEMENTS: readonly string[] = [
  `SELECT last("usage_percent") FROM "docker_container_cpu" WHERE "cpu" = 'cpu-total' AND time > now() - ${KNOWN_FOR_S}s ${GROUP}`,
  `SELECT mean("usage_percent") FROM "docker_container_cpu" WHERE "cpu" = 'cpu-total' AND time > now() - 1m ${GROUP}`,
  `SELECT last("usage"), "usage_percent" FROM "docker_container_mem" WHERE time > now() - ${KNOWN_FOR_S}s ${GROUP}`,
];

/** The list, the most demanding first. `now_s` is the clock of the server. */
export function containersOf(answers: readonly (readonly Series[])[], now_s: number): Container[] {
  const keyed = (series: readonly Series[] | undefined): Map<string, Series> =>
    new Map((series ?? []).map((one) => [key(one), one]));
  const [last, mean, memory] = [keyed(answers[0]), keyed(answers[1]), keyed(answers[2])];
  const found = [...last.entries()].map(
    ([at, series]): Container => ({
      host: series.tags['host'] ?? '',
      name: series.tags['container_name'] ?? '',
      image: series.tags['container_image'] ?? '',
      age_s: now_s - timeOf(series),
      cpu: cell(mean.get(at), 1),
      memory_bytes: cell(memory.get(at), 1),
      memory: cell(memory.get(at), 2),
    }),
  );
  return found.sort((a, b) => (b.cpu ?? -1) - (a.cpu ?? -1) || a.name.localeCompare(b.name, 'en', { numeric: true }));
}

function key(series: Series): string {
  return JSON.stringify([series.tags['host'], series.tags['container_name'], series.tags['container_image']]);
}

/** What the containers of a host, or of all hosts, use. */
export interface ContainerSum {
  /** Empty for all hosts. */
  host: string;
  live: number;
  silent: number;
  /** Percent of one core; null when none tells. */
  cpu: number | null;
  memory_bytes: number | null;
}

/** Sums over the containers that report, all of them first and then each host's: what a silent one said last is in use no more. */
export function clusterSums(containers: readonly Container[]): ContainerSum[] {
  const hosts = [...new Set(containers.map((one) => one.host))].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const each = hosts.map((host) => sumOf(host, containers.filter((one) => one.host === host)));
  return [sumOf('', containers), ...each];
}

function sumOf(host: string, containers: readonly Container[]): ContainerSum {
  const live = containers.filter((one) => one.age_s <= SILENT_AFTER_S);
  const known = (values: readonly (number | null)[]): number | null => sum(values.filter((value) => value !== null));
  return {
    host,
    live: live.length,
    silent: containers.length - live.length,
    cpu: known(live.map((one) => one.cpu)),
    memory_bytes: known(live.map((one) => one.memory_bytes)),
  };
}

/** The charts of one container. */
export function containerPanels(host: string, name: string): Panel[] {
  const only = `"host" = ${literal(host)} AND "container_name" = ${literal(name)}`;
  const column = (_: Series, words: string): string => words;
  return [
    {
      title: 'CPU, percent of a core',
      unit: 'percent',
      low: 0,
      statement: (range_s) =>
        `SELECT mean("usage_percent") AS "used" FROM "docker_container_cpu" WHERE "cpu" = 'cpu-total' AND ${only} AND ${since(range_s)} ${windows(range_s)} fill(null)`,
      label: column,
    },
    {
      title: 'Memory',
      unit: 'bytes',
      low: 0,
      statement: (range_s) =>
        `SELECT mean("usage") AS "used", mean("limit") AS "limit" FROM "docker_container_mem" WHERE ${only} AND ${since(range_s)} ${windows(range_s)} fill(null)`,
      label: column,
    },
    {
      title: 'Network, received and sent',
      unit: 'bytes/s',
      low: 0,
      statement: (range_s) =>
        `SELECT non_negative_derivative(last("rx_bytes"), 1s) AS "received", non_negative_derivative(last("tx_bytes"), 1s) AS "sent" FROM "docker_container_net" WHERE ${only} AND ${since(range_s)} ${windows(range_s, '"network"')}`,
      label: (series, words) => `${series.tags['network'] ?? ''} ${words}`,
    },
    {
      title: 'Disk, read and written',
      unit: 'bytes/s',
      low: 0,
      statement: (range_s) =>
        `SELECT non_negative_derivative(last("io_service_bytes_recursive_read"), 1s) AS "read", non_negative_derivative(last("io_service_bytes_recursive_write"), 1s) AS "written" FROM "docker_container_blkio" WHERE "device" = 'total' AND ${only} AND ${since(range_s)} ${windows(range_s)}`,
      label: column,
    },
  ];
}

