import { expect, test } from 'vitest';
import { readLook } from '../api/appliance';
import { silentOf, troublesOf } from './troubles';

const live = { name: 'backup', condition: 'live', queue_bytes_max: 100, written_lines: 1 };
const relay = (backend: object) => ({ url: 'http://r:9096', backends: [{ ...live, ...backend }] });
const look = (parts: object) => readLook({ now_ms: 1, store: { name: 'monitoring-server' }, relays: [relay({})], peers: [], ...parts });
const told = (parts: object) => troublesOf(look(parts)).map((trouble) => `${trouble.level}: ${trouble.text}`);

test('an appliance that is well has no troubles', () => {
  expect(told({ peers: [{ url: 'http://b:8087', store: { name: 'b' } }] })).toEqual([]);
});

test('each fault is said in words', () => {
  expect(told({ peers: [{ url: 'http://b:8087', error: 'connection refused' }] })).toEqual([
    'bad: The store http://b:8087 does not answer: connection refused',
  ]);
  expect(told({ relays: [{ url: 'http://r:9096', error: 'timed out' }] })[0]).toMatch(/relay http:\/\/r:9096 does not answer/);
  const spilling = relay({ condition: 'spilling', queued_bytes: 2048, queued_age_ms: 61_000, last_answer: 'connection refused' });
  expect(told({ relays: [spilling] })).toEqual([
    'bad: backup does not take what the relay sends: 2 KiB wait, the oldest for 1 min 1 s. It said: connection refused',
  ]);
  expect(told({ relays: [relay({ condition: 'draining' })] })[0]).toMatch(/^note: backup is back/);
  expect(told({ relays: [relay({ condition: 'holding', held: [{ database: 'x' }] })] })[0]).toMatch(/^bad: backup refuses what is for x/);
  expect(told({ relays: [relay({ queue_bytes: 80, tolerable_outage_s: 90 })] })[0]).toMatch(/80 % full.*full in 1 min 30 s/);
  expect(told({ relays: [relay({ gap_points: 3 })] })[0]).toMatch(/lacks 3 points/);
  expect(told({ relays: [relay({ dead_bytes: 3 })] })[0]).toMatch(/refused batches for good/);
  expect(told({ store: { name: 's', refusal: 'disk full' } })[0]).toBe('bad: s takes no writes: disk full');
  expect(told({ store: { name: 's', disk_free_bytes: 5 } })[0]).toMatch(/5 B of disk/);
  expect(told({ relays: [] })[0]).toMatch(/no relay/);
});

test('silent hosts are counted, and a database without hosts has none', () => {
  const said = (hosts: number, silent: number) => silentOf({ hosts, silent }).map((trouble) => `${trouble.level}: ${trouble.text}`);
  expect(silentOf(undefined)).toEqual([]);
  expect(said(0, 0)).toEqual([]);
  expect(said(3, 0)).toEqual([]);
  expect(said(1, 1)).toEqual(['bad: The only host is silent']);
  expect(said(3, 1)).toEqual(['bad: 1 of 3 hosts is silent']);
  expect(said(3, 2)).toEqual(['bad: 2 of 3 hosts are silent']);
});

test('an answer of another kind is read as nothing', () => {
  for (const json of [null, [], 'x', { store: 7, relays: {}, peers: [null, 3] }, { relays: [{ backends: [null], gaps: [[]] }] }]) {
    expect(() => troublesOf(readLook(json))).not.toThrow();
  }
});
