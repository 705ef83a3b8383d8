// Who is signed in. Every request of the page goes out through `send`, which adds the credentials and keeps the browser from
// asking for any by itself. They live in this module alone: never in storage, in an address or in the page.

/** Named by the page when it signs in. */
interface Session {
  user: string;
  authorization: string;
}

let session: Session | undefined;
let refused: () => void = () => undefined;

/** Uses this name and password from now on; whether they are right shows with the next answer. */
export function signIn(user: string, password: string): void {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  session = { user, authorization: `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}` };
}

/** Forgets both. */
export function signOut(): void {
  session = undefined;
}

/** The name in use, if any. */
export function signedIn(): string | undefined {
  return session?.user;
}

/** `hear` is called whenever an answer asks for a name and password, or for others. */
export function whenRefused(hear: () => void): void {
  refused = hear;
}

/** As `fetch`. */
export async function send(url: URL, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  if (session !== undefined) headers.set('Authorization', session.authorization);
  // Without `omit`, a 401 opens the browser's own dialog, and what is typed there outlives the page.
  const response = await fetch(url, { ...options, headers, credentials: 'omit', cache: 'no-store' });
  if (response.status === 401) refused();
  return response;
}
