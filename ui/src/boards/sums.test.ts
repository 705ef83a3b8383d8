import { expect, test } from 'vitest';
import type { Series } from '../api/answer';
import { clusterSums, type Container } from './containers';
import { type Host, hostPanels, hostsOf, hostSum } from './hosts';

const container = (host: string, age_s: number, cpu: number | null, memory_bytes: number | null): Container => ({
  host,
  name: 'x',
  image: '',
  age_s,
  cpu,
  memory_bytes,
  memory: null,
});

test('sums of containers are over those that report', () => {
  const all = [container('b', 5, 50, 100), container('a', 60, 25, 10), container('a', 61, null, 1_000), container('a', 3_000, null, 1_000)];
  expect(clusterSums(all)).toEqual([
    { host: '', live: 2, silent: 2, cpu: 75, memory_bytes: 110 },
    { host: 'a', live: 1, silent: 2, cpu: 25, memory_bytes: 10 },
    { host: 'b', live: 1, silent: 0, cpu: 50, memory_bytes: 100 },
  ]);
  expect(clusterSums([container('a', 100, 9, 9)])[0]).toEqual({ host: '', live: 0, silent: 1, cpu: null, memory_bytes: null });
});

const host = (age_s: number, told: Partial<Host>): Host => ({
  name: 'x',
  age_s,
  cpu: null,
  memory: null,
  memory_bytes: null,
  memory_bytes_max: null,
  disk: null,
  load: null,
  cpus: null,
  uptime_s: null,
  ...told,
});

test('sums of hosts count cores, not percent, and leave out who is silent or does not tell', () => {
  const all = [
    host(5, { cpu: 100, cpus: 2, memory_bytes: 1, memory_bytes_max: 4 }),
    host(60, { cpu: 25, cpus: 8, memory_bytes: 2, memory_bytes_max: 4 }),
    host(5, { cpus: 64, memory_bytes: 7 }),
    host(61, { cpu: 100, cpus: 16, memory_bytes: 4, memory_bytes_max: 4 }),
  ];
  expect(hostSum(all)).toEqual({ live: 3, silent: 1, cpus_busy: 4, cpus: 10, memory_bytes: 3, memory_bytes_max: 8 });
  expect(hostSum([]).cpus).toBeNull();
});

test('a host tells its memory in bytes beside the percentage', () => {
  const series = (...row: (number | null)[]): Series[] => [
    { name: 'x', tags: { host: 'h' }, columns: [], rows: [['1970-01-01T00:00:50Z', ...row]], partial: false },
  ];
  const [one] = hostsOf([series(1, 4), series(9), series(30), series(37.5, 3, 8), series(50)], 60);
  expect(one).toMatchObject({ name: 'h', age_s: 10, cpu: 70, cpus: 4, memory: 37.5, memory_bytes: 3, memory_bytes_max: 8, disk: 50 });
});

test('the chart of the CPU has every state that the list counts as busy', () => {
  const statement = hostPanels('h').find(({ title }) => title === 'CPU by state')?.statement(300) ?? '';
  const states = ['idle', 'user', 'nice', 'system', 'iowait', 'irq', 'softirq', 'steal', 'guest', 'guest_nice'];
  expect(states.filter((state) => !statement.includes(`mean("usage_${state}")`))).toEqual([]);
});
