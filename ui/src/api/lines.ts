// Cuts a stream of bytes into lines. A chunked answer is one JSON document a line; a server that does not know
// chunks sends one line in all. A line is bounded, so that such an answer cannot fill the browser's memory.

/** The longest line that is taken. */
export const LINE_CHARS_MAX = 64 * 1024 * 1024;

/** A line was longer than `LINE_CHARS_MAX`. */
export class LineTooLong extends Error {}

/** The lines of a stream, without their ends; empty ones are left out. */
export async function* lines(stream: ReadableStream<Uint8Array>, chars_max = LINE_CHARS_MAX): AsyncGenerator<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let pieces: string[] = [];
  let chars = 0;
  const take = (piece: string): void => {
    chars += piece.length;
    if (chars > chars_max) throw new LineTooLong();
    pieces.push(piece);
  };
  const cut = (): string => {
    const line = pieces.join('');
    pieces = [];
    chars = 0;
    return line;
  };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const text = done ? decoder.decode() : decoder.decode(value, { stream: true });
      let start = 0;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
        take(text.slice(start, end));
        const line = cut();
        if (line.trim() !== '') yield line;
        start = end + 1;
      }
      take(text.slice(start));
      if (done) break;
    }
    const last = cut();
    if (last.trim() !== '') yield last;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
