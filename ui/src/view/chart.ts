// Lines over time, drawn by uPlot in the colours of the page. What is under the pointer stands in the legend; who cannot see the
// picture reads its label, which names the lines and their last values.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { lonely, type Points } from '../boards/points';
import { inUnit, type Unit } from '../boards/units';
import { make } from './dom';

/** Pixels. */
const HEIGHT = 180;
/** Lines whose legend is drawn; with more of them it would be longer than the chart. */
const LEGEND_MAX = 12;
/** Colours in tokens.css: --line-1 and so on. */
const COLOURS = 8;

/** Steps between ticks of the axis of time, in seconds: none is so short that two ticks have the same text. */
const TIME_STEPS = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60),
  ...[1, 2, 3, 6, 12].map((hours) => hours * 3_600),
  ...[1, 2, 7, 14, 28, 91, 182, 364].map((days) => days * 86_400),
];
/** Pixels for the text of such a tick. */
const TIME_SPACE = 72;
/** Half of what the longest takes: the last one may stand at the very end. */
const TIME_HALF = 28;
/** This part of what an axis spans is left free beyond values that nothing bounds. */
const HEADROOM = 0.06;
/** Steps between ticks in bytes: round in the units that they are shown in. */
const BYTE_STEPS = [0, 1, 2, 3, 4, 5].flatMap((unit) =>
  [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map((size) => size * 1_024 ** unit),
);

/** A titled chart. `low` and `high` hold its axis where a range is natural, as 0 to 100 percent. */
export interface ChartOptions {
  title: string;
  unit: Unit;
  /** Of its heading. */
  level?: 'h2' | 'h3';
  low?: number;
  high?: number;
  /** What its axis of time spans, if not what its lines span. */
  span?: () => { from_s: number; to_s: number };
}

/** A chart that is drawn again and again in its place. */
export class Chart {
  readonly element: HTMLElement;
  private readonly place = make('div', { class: 'chart-place' });
  private readonly note = make('p', { class: 'chart-note' });
  private plot: uPlot | undefined;
  private points: Points = { times: [], lines: [], left: 0 };
  private readonly size: ResizeObserver;

  constructor(private readonly options: ChartOptions) {
    const heading = make(options.level ?? 'h3', {}, options.title);
    this.element = make('section', { class: 'chart' }, heading, this.place, this.note);
    this.size = new ResizeObserver(() => this.fit());
    this.size.observe(this.place);
    document.documentElement.addEventListener('themechange', () => this.draw());
  }

  show(points: Points): void {
    const same =
      this.plot !== undefined &&
      points.lines.length > 0 &&
      points.lines.length === this.points.lines.length &&
      points.lines.every((line, at) => line.label === this.points.lines[at]?.label) &&
      this.options.span === undefined;
    this.points = points;
    this.note.textContent =
      points.lines.length === 0
        ? 'Nothing reported in this time range.'
        : points.left > 0
          ? `${points.left} more lines are not drawn.`
          : '';
    this.place.setAttribute('role', 'img');
    this.place.setAttribute('aria-label', this.words());
    if (same) this.plot?.setData(this.data());
    else this.draw();
  }

  /** Shows why there is nothing to show. */
  fail(text: string): void {
    this.points = { times: [], lines: [], left: 0 };
    this.draw();
    this.note.textContent = text;
  }

  private words(): string {
    const lines = this.points.lines.slice(0, LEGEND_MAX).map((line) => {
      const last = line.values.findLast((value) => typeof value === 'number');
      return `${line.label} ${inUnit(last, this.options.unit)}`;
    });
    return lines.length === 0 ? `${this.options.title}: nothing` : `${this.options.title}, last: ${lines.join(', ')}`;
  }

  private data(): uPlot.AlignedData {
    return [this.points.times, ...this.points.lines.map((line) => line.values)];
  }

  private draw(): void {
    this.plot?.destroy();
    this.plot = undefined;
    const width = this.place.clientWidth;
    if (this.points.lines.length === 0 || width === 0) return;
    const { from_s, to_s } = this.options.span?.() ?? {};
    const colour = (name: string): string => this.colour(name);
    const axis = { stroke: colour('--dim'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
    const { unit, low, high } = this.options;
    const shown = (value: number | null | undefined): string => inUnit(value, unit);
    const series: uPlot.Series[] = this.points.lines.map((line, at) => ({
      label: line.label,
      stroke: colour(`--line-${(at % COLOURS) + 1}`),
      width: 1.5,
      points: { show: false, size: 4, filter: (_plot: uPlot, series_at: number) => lonely(this.points.lines[series_at - 1]?.values ?? []) },
      value: (_: uPlot, value: number | null | undefined) => shown(value),
    }));
    this.plot = new uPlot(
      {
        width,
        height: HEIGHT,
        padding: [8, TIME_HALF, 0, 0],
        legend: { show: this.points.lines.length <= LEGEND_MAX },
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        scales: {
          x: { range: (_, from, to) => [from_s ?? from, to_s ?? to] },
          y: { range: (_, from, to) => heights(from, to, low, high) },
        },
        axes: [
          { ...axis, size: 30, space: TIME_SPACE, incrs: TIME_STEPS, values: (_, ticks, _axis, _space, step) => ticks.map((tick) => clock(tick, step)) },
          { ...axis, size: 76, ...(unit.startsWith('bytes') ? { incrs: BYTE_STEPS } : {}), values: (_, ticks) => ticks.map(shown) },
        ],
        series: [{ label: 'time' }, ...series],
      } as uPlot.Options,
      this.data(),
      this.place,
    );
  }

  /** A colour of tokens.css as a canvas understands it: the value of a name alone may be one for each theme. */
  private colour(name: string): string {
    this.place.style.color = `var(${name})`;
    const { color } = getComputedStyle(this.place);
    this.place.style.color = '';
    return color;
  }

  private fit(): void {
    const width = this.place.clientWidth;
    if (width === 0) return;
    if (this.plot === undefined) this.draw();
    else if (Math.abs(this.plot.width - width) > 1) this.plot.setSize({ width, height: HEIGHT });
  }
}

/** What the upright axis spans for values between two, with room for the line at its bounds; never nothing. */
function heights(from: number, to: number, low: number | undefined, high: number | undefined): [number, number] {
  const room = (to - (low ?? from)) * HEADROOM;
  const bottom = low ?? (from === to ? from - 1 : from - room);
  const top = high !== undefined && to <= high ? high : to + room;
  return [bottom, top > bottom ? top : bottom + 1];
}

/** A tick on the axis of time: the day where one begins, else the time of day. */
function clock(tick_s: number, step_s: number): string {
  const time = new Date(tick_s * 1_000);
  const two = (n: number): string => String(n).padStart(2, '0');
  if (time.getHours() === 0 && time.getMinutes() === 0 && time.getSeconds() === 0) {
    return `${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  }
  const minutes = `${two(time.getHours())}:${two(time.getMinutes())}`;
  return step_s < 60 ? `${minutes}:${two(time.getSeconds())}` : minutes;
}
