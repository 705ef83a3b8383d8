// Time ranges of boards, and the windows that fit them.

/** A range that ends now. */
export interface Range {
  label: string;
  seconds: number;
}

export const RANGES: readonly Range[] = [
  { label: '5 minutes', seconds: 300 },
  { label: '15 minutes', seconds: 900 },
  { label: '1 hour', seconds: 3_600 },
  { label: '6 hours', seconds: 21_600 },
  { label: '24 hours', seconds: 86_400 },
  { label: '7 days', seconds: 604_800 },
];

/** Windows in a chart, at most. */
const WINDOWS = 240;
/** Widths of windows that people can read off, in seconds. None is narrower than agents and stores usually report: it would be empty. */
const WIDTHS = [10, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600];

/** The width of a window, in seconds. */
export function windowOf(range_s: number): number {
  return WIDTHS.find((width) => range_s / width <= WINDOWS) ?? WIDTHS.at(-1) ?? 3_600;
}

/** What is asked for before the range, in seconds: the line of what reports once a minute begins there. */
const BEFORE_S = 60;

/** `time > now() - …`, from before the range, so that its first window is whole and a line leads to it. */
export function since(range_s: number): string {
  return `time > now() - ${range_s + windowOf(range_s) + BEFORE_S}s`;
}

/** `GROUP BY` for a chart: the window, and what tells its lines apart. */
export function windows(range_s: number, ...tags: string[]): string {
  return `GROUP BY ${[`time(${windowOf(range_s)}s)`, ...tags].join(', ')}`;
}
