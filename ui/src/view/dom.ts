// The two steps that every view takes: find an element of the page, make a new one. Text goes in as text, never as
// HTML, because all of it may come from the database.

/** The element `id` of index.html, which must be there and of the kind `type`. */
export function need<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} with the id ${id}`);
  return element;
}

/** A new element with its attributes and children. An attribute of `true` is set empty, one of `false` is left out. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

/** A new button that does `run`. */
export function button(text: string, attributes: Record<string, string | boolean>, run: () => void): HTMLButtonElement {
  const element = make('button', { type: 'button', ...attributes }, text);
  element.addEventListener('click', run);
  return element;
}
