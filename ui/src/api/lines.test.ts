import { expect, test } from 'vitest';
import { lines, LineTooLong } from './lines';

function stream(...pieces: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function all(source: ReadableStream<Uint8Array>, chars_max?: number): Promise<string[]> {
  const found: string[] = [];
  for await (const line of lines(source, chars_max)) found.push(line);
  return found;
}

test('lines come whole wherever the stream is cut, characters too', async () => {
  const text = bytes('{"a":"é"}\n\n{"b":"€"}\r\n{"c":3}');
  for (let cut = 0; cut <= text.length; cut += 1) {
    const found = await all(stream(text.slice(0, cut), text.slice(cut)));
    expect(found.map((line) => line.trim())).toEqual(['{"a":"é"}', '{"b":"€"}', '{"c":3}']);
  }
});

test('an empty stream has no line', async () => {
  expect(await all(stream())).toEqual([]);
  expect(await all(stream(bytes('\n \n')))).toEqual([]);
});

test('a line past the bound is refused, before its end is seen', async () => {
  expect(await all(stream(bytes('12345\n12345')), 5)).toEqual(['12345', '12345']);
  await expect(all(stream(bytes('123'), bytes('456')), 5)).rejects.toThrow(LineTooLong);
});

test('leaving early closes the stream', async () => {
  let closed = false;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(bytes('x\n')),
    cancel: () => {
      closed = true;
    },
  });
  for await (const line of lines(endless)) {
    expect(line).toBe('x');
    break;
  }
  expect(closed).toBe(true);
});
