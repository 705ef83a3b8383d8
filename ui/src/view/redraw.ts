// Draws a place again only where it differs, so that what a person reads, selects or has focused is not taken away every two
// seconds.

/** Puts `views` in place of what is there, unless it looks the same; the focus stays on the element of the same `data-key`. */
export function redraw(place: HTMLElement, ...views: Node[]): void {
  const same = place.childNodes.length === views.length && views.every((view, at) => place.childNodes[at]?.isEqualNode(view) === true);
  if (same) return;
  const focused = document.activeElement;
  const key = focused instanceof HTMLElement && place.contains(focused) ? keyOf(focused) : undefined;
  const scrolled = [...place.querySelectorAll('.scroll')].map((one) => ({ top: one.scrollTop, left: one.scrollLeft }));
  place.replaceChildren(...views);
  for (const [at, one] of place.querySelectorAll('.scroll').entries()) {
    const before = scrolled[at];
    if (before !== undefined) one.scrollTo({ ...before, behavior: 'instant' });
  }
  if (key === undefined) return;
  const again = [...place.querySelectorAll<HTMLElement>('button, a, [tabindex]')].find((one) => keyOf(one) === key);
  again?.focus({ preventScroll: true });
}

function keyOf(element: HTMLElement): string {
  return element.dataset['key'] ?? `${element.tagName} ${element.getAttribute('aria-label') ?? element.textContent}`;
}
