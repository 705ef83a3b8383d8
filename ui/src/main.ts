// Wires the page: finds its places in index.html, gives each to the part that owns it, and starts. The parts know one
// another only through what is passed here.

import { Again } from './view/again';
import { ApplianceView } from './view/appliance';
import { need } from './view/dom';
import { BoardView } from './view/board';
import { CONTAINERS, HOSTS } from './view/boards';
import { ExploreView } from './view/explore';
import { LinkDialog, pageHash, readHash } from './view/link';
import { Login } from './view/login';
import { templateMenu } from './view/menu';
import { Offers } from './view/offers';
import { Prompt } from './view/prompt';
import { Results } from './view/results';
import { Runner } from './view/runner';
import { Source } from './view/source';
import { Standing } from './view/standing';
import { ThemeSwitch } from './view/theme';
import { type View, Views } from './view/views';
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
  (wrong_at, is_good) => {
    prompt.mark(wrong_at);
    if (!is_good) again.stop();
  },
);
const offers = new Offers(() => source.value);
const prompt: Prompt = new Prompt(
  need('query', HTMLElement),
  need('prompt', HTMLFormElement),
  offers.complete,
  (text) => {
    again.ran(text);
    void runner.run(text);
  },
  () => runner.cancel(),
);
const again: Again = new Again(
  need('span', HTMLSelectElement),
  need('every', HTMLSelectElement),
  () => prompt.text,
  (text) => prompt.set(text),
  (text) => runner.run(text),
);

templateMenu(need('templates', HTMLDetailsElement), (text, start, end) => prompt.set(text, start, end));

const linkDialog = new LinkDialog();
need('link', HTMLButtonElement).addEventListener('click', () => linkDialog.open(source.value, prompt.text));

const writeDialog = new WriteDialog();
need('write', HTMLButtonElement).addEventListener('click', () => writeDialog.open(source.value));

prompt.set(linked.q);

const place = (name: string): HTMLElement => need(`view-${name}`, HTMLElement);
const explore = new ExploreView(place('explore'), source, standing.heard, (text) => {
  history.pushState(null, '', pageHash(source.value, text));
  views.follow();
  prompt.set(text);
});
const views: Views = new Views(
  need('views', HTMLElement),
  new Map<string, { place: HTMLElement; view?: View }>([
    ['query', { place: place('query') }],
    ['explore', { place: place('explore'), view: explore }],
    ['hosts', { place: place('hosts'), view: new BoardView(place('hosts'), HOSTS, source, standing.heard) }],
    ['appliance', { place: place('appliance'), view: new ApplianceView(place('appliance'), source, standing.heard) }],
    ['containers', { place: place('containers'), view: new BoardView(place('containers'), CONTAINERS, source, standing.heard) }],
  ]),
);
new Login(() => {
  offers.clear();
  void source.refresh().then(() => views.again());
});
void source.refresh().then(() => {
  views.follow();
  source.changed(() => views.again());
});
