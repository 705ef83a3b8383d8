// The Query input: a line that grows to an editor as lines are added. It stands in a shadow root, because its styles are then
// adopted sheets, which the page's strict policy allows; a `style` element it would not.

import {
  acceptCompletion,
  autocompletion,
  closeCompletion,
  type CompletionSource,
  completionStatus,
  moveCompletionSelection,
  selectedCompletionIndex,
} from '@codemirror/autocomplete';
import { history, historyKeymap, insertNewline, standardKeymap } from '@codemirror/commands';
import { EditorState, type Extension, Prec, type Range, StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, keymap, placeholder, ViewPlugin, type ViewUpdate } from '@codemirror/view';
import { tokens } from '../language/tokens';

/** What the editor tells its owner. */
export interface EditorEvents {
  run(): void;
  /** The text that Up or Down leads to; undefined where there is none. */
  older(current: string): string | undefined;
  newer(): string | undefined;
}

const setMark = StateEffect.define<number | undefined>();

/** The place of an error, until the text changes. */
const errorMark = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = transaction.docChanged ? Decoration.none : marks;
    for (const effect of transaction.effects) {
      if (effect.is(setMark)) next = effect.value === undefined ? Decoration.none : markAt(transaction.state, effect.value);
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function markAt(state: EditorState, at: number): DecorationSet {
  const text = state.doc.toString();
  const from = Math.min(at, Math.max(text.length - 1, 0));
  const length = /^\w+/.exec(text.slice(from))?.[0].length ?? 1;
  if (text.length === 0) return Decoration.none;
  return Decoration.set(Decoration.mark({ class: 'cm-wrong' }).range(from, Math.min(from + length, text.length)));
}

/** How often, and how long apart in milliseconds, an offer is tried to be taken that is still being looked for. */
const ACCEPT_TRIES = 20;
const ACCEPT_WAIT_MS = 50;

/** Takes the chosen offer, or the first one, once there are offers. */
function accept(view: EditorView, tries: number): void {
  if (completionStatus(view.state) === 'active') {
    if (selectedCompletionIndex(view.state) === null) moveCompletionSelection(true)(view);
    if (acceptCompletion(view)) return;
  }
  if (tries > 0 && completionStatus(view.state) !== null) setTimeout(() => accept(view, tries - 1), ACCEPT_WAIT_MS);
}

/** Colours of words. */
const colours = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;

    constructor(view: EditorView) {
      this.decorations = coloured(view.state);
    }

    update(update: ViewUpdate): void {
      if (update.docChanged) this.decorations = coloured(update.state);
    }
  },
  { decorations: (plugin) => plugin.decorations },
);

/** A longer text is not coloured. */
const COLOURED_CHARS_MAX = 20_000;

function coloured(state: EditorState): DecorationSet {
  if (state.doc.length > COLOURED_CHARS_MAX) return Decoration.none;
  const marks: Range<Decoration>[] = tokens(state.doc.toString())
    .filter(({ kind }) => kind !== 'word' && kind !== 'sign')
    .map(({ kind, from, to }) => Decoration.mark({ class: `cm-${kind}` }).range(from, to));
  return Decoration.set(marks);
}

/**
 * Puts what is typed in place of what is selected. Left to itself a browser carries the looks of the selected words over to it
 * in a `style` attribute, which the page's policy refuses and reports.
 */
const typeOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    if (event.inputType !== 'insertText' || event.isComposing || event.data === null || view.state.selection.main.empty) return false;
    event.preventDefault();
    view.dispatch(view.state.replaceSelection(event.data), { userEvent: 'input.type', scrollIntoView: true });
    return true;
  },
});

/** Only names of tokens.css, which reach into the shadow root. */
const looks = EditorView.theme({
  '&': { fontSize: '15px', color: 'var(--text)', backgroundColor: 'transparent' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.5', maxHeight: '40vh' },
  '.cm-content': { padding: '9px 0', caretColor: 'var(--text)' },
  '.cm-line': { padding: '0 12px' },
  '.cm-placeholder': { color: 'var(--dim)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-keyword': { color: 'var(--line-2)', fontWeight: '600' },
  '.cm-function': { color: 'var(--line-6)' },
  '.cm-name': { color: 'var(--line-7)' },
  '.cm-text': { color: 'var(--line-5)' },
  '.cm-number': { color: 'var(--line-3)' },
  '.cm-regex': { color: 'var(--line-4)' },
  '.cm-comment': { color: 'var(--dim)', fontStyle: 'italic' },
  '.cm-wrong': { textDecoration: 'underline wavy var(--bad)', backgroundColor: 'var(--mark)' },
  '.cm-tooltip': {
    border: '1px solid var(--line)',
    borderRadius: '8px',
    backgroundColor: 'var(--surface)',
    boxShadow: 'var(--shadow-high)',
    overflow: 'hidden',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', fontSize: '13.5px', maxHeight: '16em' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 12px', lineHeight: '1.5', color: 'var(--text)' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--on-accent)' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
  '.cm-completionDetail': { color: 'inherit', opacity: '0.75', fontStyle: 'normal', marginLeft: '1.5em' },
});

export class Editor {
  private readonly view: EditorView;

  /** Makes the editor in `host`; `label` is its name for a screen reader. */
  constructor(
    host: HTMLElement,
    label: string,
    hint: string,
    complete: CompletionSource,
    events: EditorEvents,
  ) {
    const root = host.attachShadow({ mode: 'open' });
    const place = document.createElement('div');
    root.append(place);
    const extensions: Extension[] = [
      Prec.high(keymap.of(this.keys(events))),
      history(),
      keymap.of([...historyKeymap, ...standardKeymap]),
      // Nothing is chosen before a person chooses, so that Enter always runs what stands there.
      autocompletion({ override: [complete], icons: false, selectOnOpen: false, maxRenderedOptions: 100 }),
      typeOver,
      colours,
      errorMark,
      placeholder(hint),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({
        'aria-label': label,
        autocapitalize: 'off',
        autocomplete: 'off',
        autocorrect: 'off',
        spellcheck: 'false',
        enterkeyhint: 'go',
      }),
      looks,
    ];
    this.view = new EditorView({ state: EditorState.create({ extensions }), parent: place, root });
    host.addEventListener('mousedown', (event) => {
      if (event.target === host && event.composedPath()[0] === host) {
        event.preventDefault();
        this.view.focus();
      }
    });
  }

  get text(): string {
    return this.view.state.doc.toString();
  }

  /** Puts a text in place of all, and selects a part of it. */
  set(text: string, start = text.length, end = start): void {
    this.view.dispatch({
      changes: { from: 0, to: this.view.state.doc.length, insert: text },
      selection: { anchor: start, head: end },
      scrollIntoView: true,
    });
  }

  /** Marks what stands at this character, or nothing. */
  mark(at: number | undefined): void {
    this.view.dispatch({ effects: setMark.of(at) });
  }

  focus(): void {
    this.view.focus();
  }

  selectAll(): void {
    this.view.dispatch({ selection: { anchor: 0, head: this.view.state.doc.length } });
    this.view.focus();
  }

  closeOffers(): void {
    closeCompletion(this.view);
  }

  private keys(events: EditorEvents): { key: string; run: (view: EditorView) => boolean }[] {
    const walk = (text: string | undefined): boolean => {
      if (text === undefined) return false;
      this.set(text);
      return true;
    };
    return [
      {
        key: 'Enter',
        run: () => {
          events.run();
          return true;
        },
      },
      { key: 'Shift-Enter', run: insertNewline },
      {
        key: 'Tab',
        // Out of the editor where nothing is offered.
        run: (view) => {
          if (completionStatus(view.state) === null) return false;
          accept(view, ACCEPT_TRIES);
          return true;
        },
      },
      {
        key: 'ArrowUp',
        run: ({ state }) => {
          const line = state.doc.lineAt(state.selection.main.head);
          return line.number === 1 && completionStatus(state) !== 'active' && walk(events.older(this.text));
        },
      },
      {
        key: 'ArrowDown',
        run: ({ state }) => {
          const line = state.doc.lineAt(state.selection.main.head);
          return line.number === state.doc.lines && completionStatus(state) !== 'active' && walk(events.newer());
        },
      },
    ];
  }
}
