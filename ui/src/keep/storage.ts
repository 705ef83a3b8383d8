// What the browser keeps between visits. A browser may refuse to keep anything; the page then works without memory.

/** The entry `key`, or null when there is none or nothing is kept here. */
export function load(key: string): string | null {
  try {
    return localStorage.getItem(`tandem.${key}`);
  } catch {
    return null;
  }
}

/** Keeps `value`; null takes the entry away. */
export function save(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`tandem.${key}`);
    else localStorage.setItem(`tandem.${key}`, value);
  } catch {
    // Refused or full: the page goes on without memory.
  }
}
