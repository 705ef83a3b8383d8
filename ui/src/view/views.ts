// The views of the page and the addresses that lead to them: `#/query`, `#/explore`, `#/hosts`, `#/containers`,
// `#/appliance`. One is shown at
// a time; what works only while it is seen is told when it comes and goes.

/** What a view does when it is shown and when it is left. */
export interface View {
  shown(): void;
  hidden(): void;
}

/** The name of the view in a fragment; the first one when it names none. */
export function viewOf(hash: string, names: readonly string[]): string {
  const found = /^#\/([a-z]+)(?:\?|$)/.exec(hash)?.[1];
  return found !== undefined && names.includes(found) ? found : (names[0] ?? '');
}

export class Views {
  private current: string | undefined;

  constructor(
    private readonly nav: HTMLElement,
    private readonly views: ReadonlyMap<string, { place: HTMLElement; view?: View }>,
  ) {
    window.addEventListener('hashchange', () => this.follow());
  }

  /** Shows what the address names. */
  follow(): void {
    const name = viewOf(location.hash, [...this.views.keys()]);
    if (name === this.current) return;
    const before = this.current === undefined ? undefined : this.views.get(this.current);
    before?.view?.hidden();
    this.current = name;
    for (const [other, { place }] of this.views) place.hidden = other !== name;
    for (const link of this.nav.querySelectorAll('a')) {
      if (link.hash === `#/${name}`) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    this.views.get(name)?.view?.shown();
  }

  /** Lets the view that is shown ask again: the data source is another one. */
  again(): void {
    const view = this.current === undefined ? undefined : this.views.get(this.current)?.view;
    view?.hidden();
    view?.shown();
  }
}
