// The two boards that need no Grafana: hosts and containers.

import { clusterSums, type Container, CONTAINER_STATEMENTS, containerPanels, containersOf } from '../boards/containers';
import { type Host, HOST_STATEMENTS, hostPanels, hostsOf, SILENT_AFTER_S } from '../boards/hosts';
import { age, inUnit } from '../boards/units';
import type { BoardSpec } from './board';
import { make } from './dom';

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
    const items = clusterSums(all).map((sum) =>
      make(
        'li',
        {},
        make('span', { class: 'tag-key' }, `${sum.host} `),
        `${sum.count} containers, CPU ${inUnit(sum.cpu, 'percent')}, memory ${inUnit(sum.memory_bytes, 'bytes')}`,
      ),
    );
    return make('ul', { class: 'tags', 'aria-label': 'Sums of each host' }, ...items);
  },
};
