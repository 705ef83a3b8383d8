// What is wrong with the appliance, in the order in which an operator walks: stores, then what the relays say of them, then whether
// they hold the same and hosts report. Pure: one look in, sentences out, each with what to do next.

import type { Backend, Look, Relay, Store } from '../api/appliance';
import { type Compared, differWords } from './difference';
import { age, inUnit } from './units';

/** How many hosts of a database report. */
export interface Reporting {
  hosts: number;
  silent: number;
}

/** Something that needs a look. */
export interface Trouble {
  /** `bad`: data or answers are at risk; `note`: worth knowing. */
  level: 'bad' | 'note';
  text: string;
  /** What to do next. */
  next: string;
}

/** Below this share of its bound a queue is no reason to hurry. */
const QUEUE_SHARE_BAD = 0.8;
/** Less free disk than this is told. */
const DISK_FREE_MIN = 1 << 30;
/** Measurements that differ and are named. */
const NAMES_SHOWN = 3;

export function troublesOf(look: Look): Trouble[] {
  const troubles: Trouble[] = [];
  const bad = (text: string, next: string): void => void troubles.push({ level: 'bad', text, next });
  const note = (text: string, next: string): void => void troubles.push({ level: 'note', text, next });
  for (const peer of look.peers) {
    if (peer.error !== undefined) bad(`The store ${peer.url} does not answer: ${peer.error}`, 'Is it running? Its log, then the network between the stores.');
    if (peer.store !== undefined) ofStore(peer.store, bad, note);
  }
  ofStore(look.store, bad, note);
  for (const relay of look.relays) {
    if (relay.error !== undefined) {
      bad(`The relay ${relay.url} does not answer: ${relay.error}`, 'Is it running? Agents keep their lines until it is back.');
    }
    for (const backend of relay.backends) ofBackend(relay, backend, bad, note);
  }
  if (look.relays.length === 0) note('This store knows of no relay.', 'Name it: relays = ["http://HOST:9096"] in [store].');
  return troubles;
}

/** Hosts that have stopped to report; none where none ever did, since a database may be of another kind. */
export function silentOf(reporting: Reporting | undefined): Trouble[] {
  if (reporting === undefined || reporting.silent === 0) return [];
  const { hosts, silent } = reporting;
  const text = hosts === 1 ? 'The only host is silent' : `${silent} of ${hosts} hosts ${silent === 1 ? 'is' : 'are'} silent`;
  return [{ level: 'bad', text, next: 'The view Hosts says which, and since when. Is the agent there running?' }];
}

/** Whether the stores held the same when they were last compared; nothing while that cannot be known. */
export function differenceOf(look: Look, compared: Compared | undefined): Trouble[] {
  // A store that is away is told as such.
  if (compared === undefined || look.peers.length === 0 || look.peers.some((peer) => peer.error !== undefined)) return [];
  if ('failed' in compared) {
    return [{ level: 'note', text: `The stores could not be compared: ${compared.failed}`, next: 'Does the other one have this database?' }];
  }
  const { differences, database, is_catching_up } = compared;
  if (differences.length === 0) return [];
  const names = differences.slice(0, NAMES_SHOWN).map(({ name }) => name).join(', ') + (differences.length > NAMES_SHOWN ? ' …' : '');
  const text = `The stores do not hold the same: ${differWords(differences)} in ${database} (${names})`;
  if (is_catching_up || isCatchingUp(look)) return [{ level: 'note', text, next: 'Nothing: what a relay holds for a store is still on its way.' }];
  return [{ level: 'bad', text, next: 'tandem repair copies what one lacks from the other; which values differ is said below.' }];
}

/** Whether a relay still holds lines for a store. */
export function isCatchingUp(look: Look): boolean {
  return look.relays.some((relay) => relay.backends.some((backend) => backend.queued_bytes > 0 || backend.condition !== 'live'));
}

/** The one sentence above all. */
export function verdictOf(troubles: readonly Trouble[]): { level: 'good' | 'bad'; text: string } {
  const bad = troubles.filter(({ level }) => level === 'bad').length;
  const notes = troubles.length - bad;
  if (bad > 0) return { level: 'bad', text: bad === 1 ? 'One thing needs a look' : `${bad} things need a look` };
  return { level: 'good', text: notes === 0 ? 'All is well' : `All is well, with ${notes === 1 ? 'a note' : `${notes} notes`}` };
}

type Tell = (text: string, next: string) => void;

function ofBackend(relay: Relay, backend: Backend, bad: Tell, note: Tell): void {
  const { name } = backend;
  const waiting = `${inUnit(backend.queued_bytes, 'bytes')} wait, the oldest for ${age(backend.queued_age_ms / 1_000)}`;
  switch (backend.condition) {
    case 'spilling':
      bad(`${name} does not take what the relay sends: ${waiting}. It said: ${backend.last_answer || 'nothing'}`, 'Is it running? Nothing is lost while its queue has room.');
      break;
    case 'draining':
      note(`${name} is back and catches up: ${waiting}.`, 'Nothing: it ends by itself.');
      break;
    case 'holding': {
      const databases = backend.held.map((held) => held.database).join(', ');
      bad(`${name} refuses what is for ${databases || 'a database'}: ${backend.last_answer}`, 'Make what it misses (database, policy, right); what is held goes on by itself.');
      break;
    }
    default:
      break;
  }
  if (backend.queue_bytes_max > 0 && backend.queue_bytes / backend.queue_bytes_max >= QUEUE_SHARE_BAD) {
    const left = backend.tolerable_outage_s === null ? '' : `; at the present rate it is full in ${age(backend.tolerable_outage_s)}`;
    bad(`The queue of ${name} is ${Math.round((100 * backend.queue_bytes) / backend.queue_bytes_max)} % full${left}`, 'Bring the backend back, or give the queue more room.');
  }
  if (backend.gap_points > 0) {
    bad(`${name} lacks ${inUnit(backend.gap_points, 'plain')} points for good`, 'tandem repair --gaps-of copies them from the other store.');
  }
  if (backend.divergences > 0) {
    const windows = backend.divergences === 1 ? 'in one window' : `in ${inUnit(backend.divergences, 'plain')} windows`;
    bad(`${name} differs from the first store ${windows}, as the relay found`, `${relay.url}/differences says where; tandem repair mends it. Counted since the start of the relay.`);
  }
  if (backend.dead_bytes > 0) {
    bad(`${name} refused batches for good; they are kept`, `tandem relay queue dump ${name} --dead says why; then requeue.`);
  }
  if (backend.refused_batches > 0) {
    note(`${inUnit(backend.refused_batches, 'plain')} batches got no place in the queue of ${name}; their clients were told (${relay.url})`, 'Counted since the start of the relay.');
  }
}

function ofStore(store: Store, bad: Tell, note: Tell): void {
  if (store.refusal !== undefined) bad(`${store.name} takes no writes: ${store.refusal}`, 'Its log says more; queries are answered.');
  if (store.damaged.length > 0) {
    bad(`${store.name} has ${store.damaged.length} damaged files: ${store.damaged[0] ?? ''}`, 'Check the disk; the other store has the data.');
  }
  if (store.disk_free_bytes !== null && store.disk_free_bytes < DISK_FREE_MIN) {
    note(`${store.name} has ${inUnit(store.disk_free_bytes, 'bytes')} of disk left`, 'Free space, or shorten a retention policy.');
  }
  if (store.flush_failures > 0) note(`${store.flush_failures} flushes of ${store.name} failed`, 'They are tried again; the log says why.');
}
