// Numbers with their units, short enough for an axis.

/** What a number means. */
export type Unit = 'percent' | 'bytes' | 'bytes/s' | 'plain' | 'per second' | 'seconds';

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const LARGE = ['', 'k', 'M', 'G', 'T'];

/** A value as a person reads it. */
export function inUnit(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  switch (unit) {
    case 'percent':
      return `${digits(value)} %`;
    case 'bytes':
      return stepped(value, 1024, BINARY);
    case 'bytes/s':
      return `${stepped(value, 1024, BINARY)}/s`;
    case 'per second':
      return `${stepped(value, 1000, LARGE).trim()}/s`;
    case 'seconds':
      return age(value);
    case 'plain':
      return stepped(value, 1000, LARGE).trim();
  }
}

/** A duration in its two largest units. */
export function age(seconds: number): string {
  const units: [string, number][] = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
  ];
  for (const [at, [name, size]] of units.entries()) {
    if (seconds < size) continue;
    const [small, small_size] = units[at + 1] ?? ['s', 1];
    const rest = Math.floor((seconds % size) / small_size);
    return `${Math.floor(seconds / size)} ${name}${rest > 0 ? ` ${rest} ${small}` : ''}`;
  }
  return `${Math.max(Math.round(seconds), 0)} s`;
}

function stepped(value: number, step: number, names: string[]): string {
  let size = Math.abs(value);
  let at = 0;
  while (size >= step && at + 1 < names.length) {
    size /= step;
    at += 1;
  }
  return `${value < 0 ? '-' : ''}${digits(size)} ${names[at] ?? ''}`;
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return size >= 10 ? value.toFixed(1) : value.toFixed(2);
}
