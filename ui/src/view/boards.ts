// The two boards that need no Grafana: hosts and containers.

import { clusterSums, type Container, CONTAINER_STATEMENTS, containerPanels, containersOf } from '../boards/containers';
import { type Host, hostSum, HOST_STATEMENTS, hostPanels, hostsOf, SILENT_AFTER_S } from '../boards/hosts';
import { age, inUnit } from '../boards/units';
import type { BoardSpec } from './board';
import { make } from './dom';
import { count } from './format';

export const HOSTS: BoardSpec<Host> = {
  noun: 'host',
  statements: HOST_STATEMENTS,
  rowsOf: hostsOf,
  columns: [
    { title: 'CPU', number: true, text: (host) => inUnit(host.cpu, 'percent'), share: (host) => host.cpu },
    { title: 'Memory', number: true, text: (host) => inUnit(host.memory, 'percent'), share: (host) => host.memory },
    { title: 'Fullest disk', number: true, text: (host) => inUnit(host.disk, 'percent'), share: (host) => host.disk },
    {
      title: 'Load',
      number: true,
      text: (host) => `${inUnit(host.load, 'plain')}${host.cpus === null ? '' : ` of ${host.cpus}`}`,
    },
    { title: 'Up for', number: true, text: (host) => (host.uptime_s === null ? '–' : age(host.uptime_s)) },
  ],
  name: (host) => host.name,
  age_s: (host) => host.age_s,
  silent_after_s: SILENT_AFTER_S,
  panels: (host) => hostPanels(host.name),
  nothing: 'No host has reported to this data source within a day. Does an agent run, and does the relay write here?',
  sums: (all) => {
    const { live, silent, cpus_busy, cpus, memory_bytes, memory_bytes_max } = hostSum(all);
    const words = [
      heard(live, silent, 'host'),
      `CPU ${inUnit(cpus_busy, 'plain')} of ${inUnit(cpus, 'plain')} cores${share(cpus_busy, cpus)}`,
      `memory ${inUnit(memory_bytes, 'bytes')} of ${inUnit(memory_bytes_max, 'bytes')}${share(memory_bytes, memory_bytes_max)}`,
    ];
    return sumList('Sums of all hosts', [['All', words]]);
  },
};

export const CONTAINERS: BoardSpec<Container> = {
  noun: 'container',
  statements: CONTAINER_STATEMENTS,
  rowsOf: containersOf,
  columns: [
    { title: 'Image', text: (one) => one.image },
    { title: 'CPU, of a core', number: true, text: (one) => inUnit(one.cpu, 'percent') },
    { title: 'Memory', number: true, text: (one) => inUnit(one.memory_bytes, 'bytes') },
    { title: 'Of its limit', number: true, text: (one) => inUnit(one.memory, 'percent'), share: (one) => one.memory },
  ],
  name: (one) => `${one.name} on ${one.host}`,
  age_s: (one) => one.age_s,
  silent_after_s: SILENT_AFTER_S,
  panels: (one) => containerPanels(one.host, one.name),
  nothing: 'No container has reported to this data source within an hour.',
  sums: (all) => {
    const sums = clusterSums(all).map(({ host, live, silent, cpu, memory_bytes }): [string, string[]] => [
      host === '' ? 'All' : host,
      [heard(live, silent, 'container'), `CPU ${inUnit(cpu, 'percent')} of a core`, `memory ${inUnit(memory_bytes, 'bytes')}`],
    ]);
    return sumList('Sums of all hosts and of each', sums);
  },
};

/** How many the sums are over, and how many they leave out. */
function heard(live: number, silent: number, noun: string): string {
  return `${count(live, noun)}${silent === 0 ? '' : ` (${silent} silent, left out)`}`;
}

function share(used: number | null, all: number | null): string {
  return used === null || all === null || all === 0 ? '' : ` (${inUnit((100 * used) / all, 'percent')})`;
}

function sumList(title: string, sums: readonly (readonly [string, string[]])[]): HTMLElement {
  const items = sums.map(([name, words]) => make('li', {}, make('span', { class: 'tag-key' }, `${name} `), words.join(', ')));
  return make('ul', { class: 'tags', 'aria-label': title }, ...items);
}
