// Puts a time range into a SELECT, where the person can see it: the condition is written into the query text itself, in place of
// an earlier one that is relative to now.

import { type Token, tokens } from './tokens';

/** What ends a condition. */
const NEXT = /^(?:group|order|limit|offset|slimit|soffset|fill|tz)$/i;

/** The text with `time > now() - …` in each of its outer SELECTs; any other statement stays as it is. */
export function withSpan(text: string, span: string): string {
  const all = tokens(text);
  const cuts: { from: number; to: number; put: string }[] = [];
  for (let start = 0; start <= all.length; ) {
    const end = all.findIndex((token, at) => at >= start && token.text === ';');
    const own = all.slice(start, end === -1 ? undefined : end);
    const cut = spanOf(own, span);
    if (cut !== undefined) cuts.push(cut);
    if (end === -1) break;
    start = end + 1;
  }
  return cuts.reduceRight((out, cut) => out.slice(0, cut.from) + cut.put + out.slice(cut.to), text);
}

function spanOf(own: readonly Token[], span: string): { from: number; to: number; put: string } | undefined {
  if (!/^select$/i.test(own[0]?.text ?? '')) return undefined;
  let depth = 0;
  let [where, next, from]: (number | undefined)[] = [];
  for (const [at, token] of own.entries()) {
    if (token.text === '(') depth += 1;
    if (token.text === ')') depth -= 1;
    if (depth !== 0 || token.kind === 'name' || token.kind === 'text') continue;
    if (/^from$/i.test(token.text)) from = at;
    if (/^where$/i.test(token.text)) where = at;
    if (NEXT.test(token.text) && from !== undefined) next ??= at;
  }
  if (from === undefined) return undefined;
  const put = `time > now() - ${span}`;
  const words = own.slice(where ?? own.length, next);
  const old = words.findIndex(
    (token, at) =>
      /^time$/i.test(token.text) &&
      /^>=?$/.test(words[at + 1]?.text ?? '') &&
      /^now$/i.test(words[at + 2]?.text ?? '') &&
      words[at + 4]?.text === ')' &&
      words[at + 5]?.text === '-' &&
      words[at + 6]?.kind === 'number',
  );
  const [first, last] = [words[old], words[old + 6]];
  if (old !== -1 && first !== undefined && last !== undefined) return { from: first.from, to: last.to, put };
  if (where !== undefined) {
    const begin = own[where]?.to ?? 0;
    const is_joined = words.some((token) => /^or$/i.test(token.text));
    const end = words.at(-1)?.to ?? begin;
    // An OR binds less than the AND that is added.
    if (is_joined && first === undefined) return undefined;
    return { from: end, to: end, put: words.length > 1 ? ` AND ${put}` : ` ${put}` };
  }
  const end = own[next ?? own.length]?.from;
  const before = own[(next ?? own.length) - 1]?.to ?? 0;
  return { from: before, to: before, put: ` WHERE ${put}${end === before ? ' ' : ''}` };
}
