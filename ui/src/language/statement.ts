// The little that the page must know of a query text: where its statements end, whether one of them changes
// something (it then goes as POST), and whether it holds a password (it is then kept nowhere). The store's parser
// is the judge of everything else.

/** Quoted text, comments, and the semicolons between statements. */
const PIECE = /'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|;|[^'"\-/;]+|[-/]/g;

/** First words of statements that change something. */
const CHANGING = /^(?:create|drop|alter|delete|grant|revoke|set|kill)\b/i;

/** The statements of a text, trimmed, without the empty ones. */
export function statements(text: string): string[] {
  return split(text, (piece) => piece);
}

/** Whether any statement changes the store. */
export function changes(text: string): boolean {
  return bare(text).some((statement) => CHANGING.test(statement) || /^select\b[\s\S]*\binto\b/i.test(statement));
}

/** Whether the text sets a password. */
export function holdsSecret(text: string): boolean {
  return bare(text).some((statement) => /\bpassword\b/i.test(statement));
}

/** The statements with comments gone and quoted text emptied, so that words in them do not count. */
function bare(text: string): string[] {
  return split(text, (piece) => {
    if (piece.startsWith('--') || piece.startsWith('/*')) return ' ';
    return piece.startsWith("'") || piece.startsWith('"') ? ' "" ' : piece;
  });
}

function split(text: string, keep: (piece: string) => string): string[] {
  const found: string[] = [];
  let statement = '';
  for (const piece of text.match(PIECE) ?? []) {
    if (piece === ';') {
      found.push(statement);
      statement = '';
    } else {
      statement += keep(piece);
    }
  }
  found.push(statement);
  return found.map((one) => one.trim()).filter((one) => one !== '');
}
