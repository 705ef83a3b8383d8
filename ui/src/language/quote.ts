// Quotes names for use in a query. Where the page writes by itself they are always quoted: a keyword, a digit in front or a
// dash then needs no thought. What a person types along with is quoted only where it must be.

/** A name as a quoted identifier. */
export function identifier(name: string): string {
  return `"${name.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
}

/** A text as a string literal. */
export function literal(text: string): string {
  return `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'").replace(/\n/g, '\\n')}'`;
}

/** The guide's second query for a measurement: its last 100 points. */
export function lastPoints(measurement: string): string {
  return `select * from ${asTyped(measurement)} order by time desc limit 100`;
}

/** A name as a person would type it: quoted only where it must be. */
export function asTyped(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) && !KEYWORD.test(name) ? name : identifier(name);
}

/** Words that name a measurement only in quotes. */
const KEYWORD =
  /^(?:all|alter|analyze|any|as|asc|begin|by|cardinality|create|continuous|database|databases|default|delete|desc|destinations|diagnostics|distinct|drop|duration|end|every|exact|explain|field|for|from|future|grant|grants|group|groups|in|inf|insert|into|key|keys|kill|limit|measurement|measurements|name|offset|on|order|password|past|policy|policies|privileges|queries|query|read|replication|resample|retention|revoke|select|series|set|show|shard|shards|slimit|soffset|stats|subscription|subscriptions|tag|to|user|users|values|where|with|write|true|false|time|and|or)$/i;
