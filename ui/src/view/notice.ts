// A failure as the person sees it: title, the server's own text, what to do next and, for a parse error, the query with
// the place marked.

import { errorOffset, type Failure } from '../api/failure';
import { make } from './dom';

export function failureView(failure: Failure, query = ''): HTMLElement {
  const view = make('div', { class: 'failure', role: 'alert' }, make('p', { class: 'title' }, failure.title));
  view.append(make('p', { class: 'detail' }, failure.detail));
  const offset = query === '' ? undefined : errorOffset(failure.detail, query);
  if (offset !== undefined) view.append(markedView(query, offset));
  if (failure.hint !== undefined) view.append(make('p', { class: 'hint' }, failure.hint));
  return view;
}

function markedView(query: string, offset: number): HTMLElement {
  const word = /^\S\w*/.exec(query.slice(offset))?.[0] ?? '';
  const mark = make('mark', {}, word === '' ? ' ' : word);
  return make('pre', {}, query.slice(0, offset), mark, query.slice(offset + word.length));
}
