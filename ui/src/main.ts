// Wires the page: finds its places in index.html, gives each to the part that owns it, and starts. The parts know one
// another only through what is passed here.

import { need } from './view/dom';
import { LinkDialog, readHash } from './view/link';
import { templateMenu } from './view/menu';
import { Prompt } from './view/prompt';
import { Results } from './view/results';
import { Runner } from './view/runner';
import { Source } from './view/source';
import { Standing } from './view/standing';
import { ThemeSwitch } from './view/theme';
import { WriteDialog } from './view/writer';

new ThemeSwitch(need('theme', HTMLButtonElement));

const linked = readHash(location.hash);
const standing = new Standing(need('standing', HTMLElement));
const source = new Source(need('source', HTMLSelectElement), linked.db, standing.heard);
const results = new Results(need('results', HTMLElement), (text) => prompt.set(text));
const runner = new Runner(
  source,
  results,
  need('summary', HTMLElement),
  need('cancel', HTMLButtonElement),
  standing.heard,
);
const prompt = new Prompt(
  need('query', HTMLInputElement),
  need('prompt', HTMLFormElement),
  (text) => void runner.run(text),
  () => runner.cancel(),
);

templateMenu(need('templates', HTMLDetailsElement), (text, start, end) => prompt.set(text, start, end));

const linkDialog = new LinkDialog();
need('link', HTMLButtonElement).addEventListener('click', () => linkDialog.open(source.value, prompt.text));

const writeDialog = new WriteDialog();
need('write', HTMLButtonElement).addEventListener('click', () => writeDialog.open(source.value));

prompt.set(linked.q);
void source.refresh();
