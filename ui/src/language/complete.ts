// What may stand at a place of a query text: the little of InfluxQL's grammar that offers need. Pure; where the names come
// from is the business of view/offers.ts.

import { KEYWORDS, type Token, tokens } from './tokens';

/** Kinds of words that may stand at a place. */
export type Want = 'keyword' | 'function' | 'measurement' | 'field' | 'tag' | 'database' | 'value';

/** A place in a text. */
export interface Place {
  /** Where the word begins that is being typed. */
  from: number;
  wants: readonly Want[];
  /** Keywords to offer, the likely ones first. */
  keywords: readonly string[];
  /** The measurement that the statement reads; none when it names none yet. */
  measurement?: string;
  /** The tag whose value is being typed. */
  tag?: string;
  /** The quote that the word has begun with. */
  quote?: '"' | "'";
}

const STATEMENTS = ['SELECT', 'SHOW', 'CREATE', 'DROP', 'DELETE', 'EXPLAIN', 'ALTER', 'GRANT', 'REVOKE', 'KILL QUERY', 'SET PASSWORD FOR'];

/** What may follow a keyword, beside names. */
const AFTER: Readonly<Record<string, readonly string[]>> = {
  SHOW: [
    'MEASUREMENTS', 'DATABASES', 'FIELD KEYS', 'TAG KEYS', 'TAG VALUES', 'SERIES', 'RETENTION POLICIES', 'CONTINUOUS QUERIES',
    'QUERIES', 'USERS', 'GRANTS FOR', 'SHARDS', 'SHARD GROUPS', 'STATS', 'DIAGNOSTICS', 'SUBSCRIPTIONS',
    'MEASUREMENT CARDINALITY', 'SERIES CARDINALITY', 'TAG KEY CARDINALITY', 'FIELD KEY CARDINALITY',
  ],
  CREATE: ['DATABASE', 'RETENTION POLICY', 'CONTINUOUS QUERY', 'USER', 'SUBSCRIPTION'],
  DROP: ['DATABASE', 'MEASUREMENT', 'SERIES', 'RETENTION POLICY', 'CONTINUOUS QUERY', 'SHARD', 'USER', 'SUBSCRIPTION'],
  EXPLAIN: ['SELECT', 'ANALYZE SELECT'],
  DELETE: ['FROM', 'WHERE'],
  FIELD: ['KEYS'],
  TAG: ['KEYS', 'VALUES'],
  WITH: ['KEY', 'MEASUREMENT', 'PASSWORD'],
  ORDER: ['BY'],
  GROUP: ['BY'],
};

const AFTER_SOURCE = ['WHERE', 'GROUP BY', 'ORDER BY time DESC', 'LIMIT', 'SLIMIT', 'OFFSET', 'TZ(', 'WITH KEY ='];
const AFTER_CONDITION = ['AND', 'OR', 'GROUP BY', 'ORDER BY time DESC', 'LIMIT'];
const AFTER_GROUPS = ['FILL(', 'ORDER BY time DESC', 'LIMIT'];

/** What may stand where the caret is. */
export function placeAt(text: string, caret: number): Place {
  const whole = tokens(text);
  // Of the statement that the caret is in.
  const start = whole.findLastIndex((token) => token.text === ';' && token.to <= caret);
  const after = whole.findIndex((token, at) => at > start && token.text === ';');
  const own = whole.slice(start + 1, after === -1 ? undefined : after);
  const typed = own.find((token) => token.from < caret && caret <= token.to && isWord(token, caret));
  const before = own.filter((token) => token.to <= (typed?.from ?? caret) && token.kind !== 'comment');
  const inside = own.some((token) => (token.kind === 'comment' || token.kind === 'regex') && token.from < caret && caret < token.to);
  const place: Place = { from: typed?.from ?? caret, wants: [], keywords: [], ...measurementOf(own) };
  if (typed?.kind === 'name') place.quote = '"';
  if (typed?.kind === 'text') place.quote = "'";
  if (inside) return place;
  const [wants, keywords, tag] = offers(before, place.quote);
  return { ...place, wants, keywords, ...(tag === undefined ? {} : { tag }) };
}

/** Whether a token is being typed: a closed quote is not. */
function isWord(token: Token, caret: number): boolean {
  if (token.kind === 'word' || token.kind === 'keyword' || token.kind === 'function') return true;
  if (token.kind !== 'name' && token.kind !== 'text') return false;
  const closed = token.text.length > 1 && token.text.endsWith(token.text.charAt(0));
  return !(closed && caret === token.to);
}

function offers(before: readonly Token[], quote: '"' | "'" | undefined): [Want[], readonly string[], (string | undefined)?] {
  const last = before.at(-1);
  if (last === undefined) return [['keyword'], STATEMENTS];
  const word = last.kind === 'keyword' ? last.text.toUpperCase() : '';
  const clause = clauseOf(before);
  if (quote === "'" || (clause === 'WHERE' && /^(?:=|!=|<>)$/.test(last.text))) {
    const named = before.at(-2);
    if (last.text === '=' || last.text === '!=' || last.text === '<>') return [['value'], [], unquoted(named)];
    return [[], []];
  }
  if (word === 'FROM' || word === 'INTO' || (word === 'MEASUREMENT' && before.length > 1)) return [['measurement'], []];
  if (word === 'ON' || (word === 'DATABASE' && /^drop$/i.test(before[0]?.text ?? ''))) return [['database'], []];
  const follows = AFTER[word];
  if (follows !== undefined && clause !== 'WHERE') return [['keyword'], follows];
  switch (clause) {
    case 'SELECT':
      if (word === 'SELECT' || last.text === ',' || last.text === '(' || /^[-+*/%]$/.test(last.text)) {
        return [['field', 'function', 'tag'], last.text === '*' ? ['FROM'] : []];
      }
      return [['keyword'], ['FROM', 'AS', 'INTO']];
    case 'FROM':
      return last.text === ',' ? [['measurement'], []] : [['keyword'], AFTER_SOURCE];
    case 'WHERE':
      if (word === 'WHERE' || word === 'AND' || word === 'OR' || last.text === '(') return [['tag', 'field', 'keyword'], ['time']];
      return /^[=<>!~]+$/.test(last.text) ? [['field', 'function'], []] : [['keyword'], AFTER_CONDITION];
    case 'BY':
      if (before.some((token) => /^order$/i.test(token.text))) return [['keyword'], ['time', 'DESC', 'LIMIT']];
      return word === 'BY' || last.text === ',' ? [['tag', 'function', 'keyword'], ['time(']] : [['keyword'], AFTER_GROUPS];
    case 'KEY':
      return last.text === '=' || /^in$/i.test(last.text) || last.text === '(' ? [['tag'], []] : [['keyword'], ['= ', 'IN']];
    default:
      return [['keyword'], ['FROM', 'ON', 'WHERE', 'WITH KEY =', 'LIMIT', ...KEYWORDS]];
  }
}

/** The clause that the end of `before` is in. */
function clauseOf(before: readonly Token[]): string {
  const found = before.findLast(
    (token) => token.kind === 'keyword' && /^(?:select|from|where|by|key|limit|show|into|fill)$/i.test(token.text),
  );
  return found?.text.toUpperCase() ?? '';
}

/** What the statement reads, as far as it says so, with what follows the caret too. */
function measurementOf(own: readonly Token[]): { measurement?: string } {
  const from = own.findIndex((token) => /^from$/i.test(token.text) && token.kind === 'keyword');
  if (from === -1) return {};
  // `db.policy.measurement`: the last one counts.
  let at = from + 1;
  while (own[at + 1]?.text === '.') at += own[at + 2]?.text === '.' ? 3 : 2;
  const token = own[at];
  const name = token?.kind === 'word' || token?.kind === 'name' ? unquoted(token) : undefined;
  return name === undefined || name === '' ? {} : { measurement: name };
}

function unquoted(token: Token | undefined): string | undefined {
  if (token === undefined) return undefined;
  return token.kind === 'name' ? token.text.replace(/^"|"$/g, '').replace(/\\(["\\])/g, '$1') : token.text;
}

/** Whether an offer begins as what is typed, or has it at the beginning of one of its words. */
export function fits(offer: string, typed: string): boolean {
  const [words, prefix] = [offer.toLowerCase(), typed.toLowerCase()];
  return words.startsWith(prefix) || words.includes(`_${prefix}`);
}
