import { expect, test } from 'vitest';
import { readLook } from '../api/appliance';
import type { Compared } from './difference';
import { differenceOf, silentOf, troublesOf, verdictOf } from './troubles';

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
  expect(told({ relays: [relay({ divergences: 1 })] })[0]).toBe('bad: backup differs from the first store in one window, as the relay found');
  expect(told({ relays: [relay({ divergences: 3 })] })[0]).toMatch(/in 3 windows/);
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

test('stores that differ are no appliance that is well', () => {
  const peers = [{ url: 'http://b:8087', store: { name: 'b' } }];
  const compared = (names: string[], is_catching_up = false): Compared => ({
    range: '',
    database: 'telegraf',
    values: 9,
    differences: names.map((name) => ({ name, here: 1, there: 0 })),
    is_catching_up,
  });
  const said = (one: Compared | undefined, parts: object = {}) => {
    const troubles = differenceOf(look({ peers, ...parts }), one);
    return [verdictOf(troubles).text, ...troubles.map(({ level, text }) => `${level}: ${text}`)];
  };
  expect(said(undefined)).toEqual(['All is well']);
  expect(said(compared([]))).toEqual(['All is well']);
  const one = 'The stores do not hold the same: 1 measurement differs in telegraf (foo)';
  expect(said(compared(['foo']))).toEqual(['One thing needs a look', `bad: ${one}`]);
  expect(said(compared(['a', 'b', 'c', 'd']))[1]).toBe('bad: The stores do not hold the same: 4 measurements differ in telegraf (a, b, c …)');
  // What is on its way is no fault, whether it was so at the comparison or is so now.
  expect(said(compared(['foo'], true))).toEqual(['All is well, with a note', `note: ${one}`]);
  expect(said(compared(['foo']), { relays: [relay({ condition: 'draining' })] })[1]).toBe(`note: ${one}`);
  expect(said(compared(['foo']), { relays: [relay({ queued_bytes: 1 })] })[1]).toBe(`note: ${one}`);
  expect(said({ range: '', database: 'x', failed: 'no answer' })[0]).toBe('All is well, with a note');
  expect(said(compared(['foo']), { peers: [{ url: 'http://b:8087', error: 'refused' }] })).toEqual(['All is well']);
  expect(said(compared(['foo']), { peers: [] })).toEqual(['All is well']);
});

test('the verdict counts what is bad', () => {
  const trouble = (level: 'bad' | 'note') => ({ level, text: '', next: '' });
  expect(verdictOf([])).toEqual({ level: 'good', text: 'All is well' });
  expect(verdictOf([trouble('note'), trouble('note')])).toEqual({ level: 'good', text: 'All is well, with 2 notes' });
  expect(verdictOf([trouble('bad'), trouble('note'), trouble('bad')])).toEqual({ level: 'bad', text: '2 things need a look' });
});

test('an answer of another kind is read as nothing', () => {
  for (const json of [null, [], 'x', { store: 7, relays: {}, peers: [null, 3] }, { relays: [{ backends: [null], gaps: [[]] }] }]) {
    expect(() => troublesOf(readLook(json))).not.toThrow();
  }
});
