// The way of the data as a picture of boxes: agents, relays, stores, each with how it does and how much passes through it.

import type { Backend, Look, Peer, Relay, Store } from '../api/appliance';
import type { Rates } from '../boards/rates';
import type { Reporting } from '../boards/troubles';
import { age, inUnit } from '../boards/units';
import { make } from './dom';

/** Words of a relay for how a backend does, and whether they are good. */
const CONDITIONS: Readonly<Record<string, readonly ['good' | 'note' | 'bad', string]>> = {
  live: ['good', 'live'],
  draining: ['note', 'catching up'],
  spilling: ['bad', 'away: its queue takes all'],
  holding: ['bad', 'refuses some'],
};

export function chainView(look: Look, reporting: Reporting | undefined, rates: Rates): HTMLElement {
  const relays = look.relays.map((relay) => relayBox(relay, rates));
  const stores = look.relays.flatMap((relay, at) =>
    relay.backends.map((backend) => backendBox(backend, rates.of(backendKey(relay, backend)), look.relays.length > 1 ? ` by relay ${at + 1}` : '')),
  );
  return make(
    'ol',
    { class: 'chain', 'aria-label': 'The way of the data' },
    make('li', {}, agentsBox(reporting)),
    make('li', {}, ...(relays.length > 0 ? relays : [box('Relay', 'note', 'not known', [['Setting', 'relays in [store]']])])),
    make('li', {}, ...(stores.length > 0 ? stores : [ownBox(look.store), ...look.peers.map(peerBox)])),
  );
}

/** The name of a backend's lines among the rates. */
export function backendKey(relay: Relay, backend: Backend): string {
  return `${relay.url} ${backend.name}`;
}

function agentsBox(reporting: Reporting | undefined): HTMLElement {
  if (reporting === undefined) return box('Agents', 'note', 'not known', []);
  const { hosts, silent } = reporting;
  // A database may be of another kind, without hosts.
  const state = hosts === 0 ? 'note' : silent > 0 ? 'bad' : 'good';
  const words = hosts === 0 ? 'nothing reports' : silent > 0 ? `${silent} silent` : 'all report';
  const view = box('Agents', state, words, [['Hosts', String(hosts)]]);
  view.append(make('a', { href: '#/hosts' }, 'Hosts'));
  return view;
}

function relayBox(relay: Relay, rates: Rates): HTMLElement {
  if (relay.error !== undefined) return box('Relay', 'bad', 'does not answer', [['Address', relay.url], ['It said', relay.error]]);
  const lines = relay.backends.map((backend) => rates.of(backendKey(relay, backend))).filter((rate) => rate !== null);
  const most = lines.length === 0 ? null : Math.max(...lines);
  const waiting = relay.backends.reduce((all, backend) => all + backend.queued_bytes, 0);
  return box('Relay', waiting > 0 ? 'note' : 'good', waiting > 0 ? 'holds what waits' : 'passes all on', [
    ['Address', relay.url],
    ['Lines', inUnit(most, 'per second')],
    ['In its queues', inUnit(waiting, 'bytes')],
  ]);
}

function backendBox(backend: Backend, rate: number | null, by: string): HTMLElement {
  const [state, words] = CONDITIONS[backend.condition] ?? ['note', backend.condition];
  const facts: [string, string][] = [
    ['Lines', inUnit(rate, 'per second')],
    ['Waits for it', backend.queued_bytes === 0 ? 'nothing' : `${inUnit(backend.queued_bytes, 'bytes')}, for ${age(backend.queued_age_ms / 1_000)}`],
    ['Last answer', backend.last_answer === '' ? 'none yet' : backend.last_answer],
  ];
  if (backend.queued_bytes > 0 && backend.tolerable_outage_s !== null) facts.push(['Queue lasts', age(backend.tolerable_outage_s)]);
  if (backend.gap_points > 0) facts.push(['Lost to it', `${inUnit(backend.gap_points, 'plain')} points`]);
  if (backend.dead_bytes > 0) facts.push(['Refused for good', inUnit(backend.dead_bytes, 'bytes')]);
  return box(`${backend.name}${by}`, state, words, facts);
}

function ownBox(store: Store): HTMLElement {
  const state = store.refusal === undefined ? 'good' : 'bad';
  return box(store.name, state, store.refusal === undefined ? 'takes writes' : 'takes no writes', [['This page', location.host]]);
}

function peerBox(peer: Peer): HTMLElement {
  const name = peer.store?.name ?? 'Store';
  return box(name, peer.error === undefined ? 'good' : 'bad', peer.error === undefined ? 'answers' : 'does not answer', [['Address', peer.url]]);
}

function box(title: string, state: 'good' | 'note' | 'bad', words: string, facts: [string, string][]): HTMLElement {
  const list = facts.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]);
  return make(
    'section',
    { class: 'link-box', 'data-state': state },
    make('h2', {}, title),
    make('p', { class: 'state' }, make('span', { class: 'dot', 'aria-hidden': 'true' }), words),
    make('dl', {}, ...list),
  );
}
