// Light and dark. The system decides until the person does; choosing what the system shows anyway gives the decision
// back to it. The colours themselves are in style/tokens.css.

import { load, save } from '../keep/storage';

const KEY = 'theme';

type Theme = 'light' | 'dark';

/** Applies the kept choice; `toggle` changes it. */
export class ThemeSwitch {
  private readonly system = matchMedia('(prefers-color-scheme: dark)');

  constructor(private readonly toggle: HTMLButtonElement) {
    toggle.addEventListener('click', () => this.choose(this.shown() === 'dark' ? 'light' : 'dark'));
    this.system.addEventListener('change', () => this.apply());
    this.apply();
  }

  private shown(): Theme {
    const chosen = load(KEY);
    return chosen === 'light' || chosen === 'dark' ? chosen : this.systemTheme();
  }

  private systemTheme(): Theme {
    return this.system.matches ? 'dark' : 'light';
  }

  private choose(theme: Theme): void {
    save(KEY, theme === this.systemTheme() ? null : theme);
    this.apply(theme);
  }

  private apply(theme = this.shown()): void {
    document.documentElement.dataset['theme'] = theme;
    const other = theme === 'dark' ? 'light' : 'dark';
    this.toggle.setAttribute('aria-label', `Switch to ${other} colours`);
    this.toggle.title = `Switch to ${other} colours`;
    document.documentElement.dispatchEvent(new Event('themechange'));
  }
}
