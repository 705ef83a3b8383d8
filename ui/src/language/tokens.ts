// The words of a query text, for colours and completion. Any text gives tokens: what is not closed ends where the text does.

/** What a token is. */
export type Kind = 'word' | 'keyword' | 'function' | 'name' | 'text' | 'number' | 'comment' | 'regex' | 'sign';

/** A part of a text, from the first character to before the last. */
export interface Token {
  kind: Kind;
  from: number;
  to: number;
  text: string;
}

/** Words that InfluxQL gives a meaning. */
export const KEYWORDS: readonly string[] = [
  'ALL', 'ALTER', 'ANALYZE', 'AND', 'ANY', 'AS', 'ASC', 'BEGIN', 'BY', 'CARDINALITY', 'CONTINUOUS', 'CREATE', 'DATABASE',
  'DATABASES', 'DEFAULT', 'DELETE', 'DESC', 'DESTINATIONS', 'DIAGNOSTICS', 'DISTINCT', 'DROP', 'DURATION', 'END', 'EVERY',
  'EXACT', 'EXPLAIN', 'FALSE', 'FIELD', 'FILL', 'FOR', 'FROM', 'FUTURE', 'GRANT', 'GRANTS', 'GROUP', 'GROUPS', 'IN', 'INSERT',
  'INTO', 'KEY', 'KEYS', 'KILL', 'LIMIT', 'MEASUREMENT', 'MEASUREMENTS', 'NAME', 'NOT', 'OFFSET', 'ON', 'OR', 'ORDER',
  'PASSWORD', 'PAST', 'POLICIES', 'POLICY', 'PRIVILEGES', 'QUERIES', 'QUERY', 'READ', 'REPLICATION', 'RESAMPLE', 'RETENTION',
  'REVOKE', 'SELECT', 'SERIES', 'SET', 'SHARD', 'SHARDS', 'SHOW', 'SLIMIT', 'SOFFSET', 'STATS', 'SUBSCRIPTION', 'SUBSCRIPTIONS',
  'TAG', 'TO', 'TRUE', 'TZ', 'USER', 'USERS', 'VALUES', 'WHERE', 'WITH', 'WRITE',
];

/** Functions that a SELECT may call. */
export const FUNCTIONS: readonly string[] = [
  'abs', 'bottom', 'ceil', 'count', 'cumulative_sum', 'derivative', 'difference', 'distinct', 'elapsed', 'exp', 'first', 'floor',
  'histogram', 'holt_winters', 'holt_winters_with_fit', 'integral', 'last', 'ln', 'log', 'log10', 'log2', 'max', 'mean', 'median',
  'min', 'mode', 'moving_average', 'non_negative_derivative', 'non_negative_difference', 'now', 'percentile', 'pow', 'round',
  'sample', 'spread', 'sqrt', 'stddev', 'sum', 'time', 'top',
];

const IS_KEYWORD = new Set(KEYWORDS);
const IS_FUNCTION = new Set(FUNCTIONS);

const TOKEN =
  /(?<comment>--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<text>'(?:[^'\\\n]|\\.)*'?)|(?<name>"(?:[^"\\\n]|\\.)*"?)|(?<number>\d+(?:\.\d+)?(?:ns|u|µ|ms|s|m|h|d|w)?(?![\w.]))|(?<word>[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)|(?<sign>=~|!~|!=|<>|<=|>=|::|[^\s])/g;

/** The tokens of a text, in order; blanks are between them. */
export function tokens(text: string): Token[] {
  const found: Token[] = [];
  for (let at = 0; at < text.length; ) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) break;
    const last = found.at(-1);
    // A slash begins a regular expression only where one may stand.
    if (match[0] === '/' && (last === undefined || /^(?:=~|!~|,|\(|from|by|key|measurement)$/i.test(last.text))) {
      const regex = /\/(?:[^/\\\n]|\\.)*\/?/y;
      regex.lastIndex = match.index;
      const whole = regex.exec(text)?.[0] ?? '/';
      found.push({ kind: 'regex', from: match.index, to: match.index + whole.length, text: whole });
      at = match.index + whole.length;
      continue;
    }
    at = match.index + match[0].length;
    const kind = Object.entries(match.groups ?? {}).find(([, part]) => part !== undefined)?.[0] as Kind;
    found.push({ kind: kind === 'word' ? wordKind(text, match[0], at) : kind, from: match.index, to: at, text: match[0] });
  }
  return found;
}

function wordKind(text: string, word: string, end: number): Kind {
  if (IS_FUNCTION.has(word.toLowerCase()) && /^\s*\(/.test(text.slice(end))) return 'function';
  return IS_KEYWORD.has(word.toUpperCase()) ? 'keyword' : 'word';
}
