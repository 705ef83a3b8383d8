// The menu of query templates: a `details` element, so that it opens by mouse, key and touch alike. Choosing one closes
// it, as do Escape and a click elsewhere.

import { fill, TEMPLATES } from '../language/templates';
import { button, make } from './dom';

/** Fills `menu` with the templates; `choose` takes the text and the range of its first blank. */
export function templateMenu(
  menu: HTMLDetailsElement,
  choose: (text: string, start: number, end: number) => void,
): void {
  const list = make('div', { class: 'menu-list' });
  for (const [group, templates] of TEMPLATES) {
    const items = templates.map((template) =>
      make(
        'li',
        {},
        button(template.label, {}, () => {
          menu.open = false;
          const filled = fill(template.text);
          choose(filled.text, filled.start, filled.end);
        }),
      ),
    );
    list.append(make('section', {}, make('h2', {}, group), make('ul', {}, ...items)));
  }
  menu.append(list);
  menu.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && menu.open) {
      event.stopPropagation();
      menu.open = false;
      menu.querySelector('summary')?.focus();
    }
  });
  document.addEventListener('click', (event) => {
    if (event.target instanceof Node && !menu.contains(event.target)) menu.open = false;
  });
}
