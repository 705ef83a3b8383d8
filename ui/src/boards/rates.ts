// Rates out of counters that only grow: what was counted over the last looks, per second. A counter that fell belongs to a process
// that began anew, and the looks before it do not count.

/** Looks further back than this do not count, in milliseconds. */
const WINDOW_MS = 12_000;

export class Rates {
  private looks: { at_ms: number; counts: ReadonlyMap<string, number> }[] = [];

  /** Takes a look at time `at_ms`. */
  add(at_ms: number, counts: ReadonlyMap<string, number>): void {
    this.looks = this.looks.filter((look) => look.at_ms < at_ms && look.at_ms >= at_ms - WINDOW_MS);
    this.looks.push({ at_ms, counts });
  }

  /** Per second; null while it cannot be told. */
  of(name: string): number | null {
    const values = this.looks.flatMap(({ at_ms, counts }) => {
      const count = counts.get(name);
      return count === undefined ? [] : [{ at_ms, count }];
    });
    const fell = values.findLastIndex(({ count }, at) => count < (values[at - 1]?.count ?? 0));
    const steady = values.slice(Math.max(fell, 0));
    const [first, last] = [steady[0], steady.at(-1)];
    if (first === undefined || last === undefined || last.at_ms <= first.at_ms) return null;
    return ((last.count - first.count) * 1_000) / (last.at_ms - first.at_ms);
  }
}
