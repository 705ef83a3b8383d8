// Where the API is, seen from the page. The page is served at the root of its own port and under `/ui/` of
// the API port, and perhaps behind a proxy that adds a prefix; the API always stands beside the page, never
// on another origin. Nothing else in the tree builds an address.

/** The folder that holds `query`, `write` and the others, as an absolute URL that ends in `/`. */
export function apiRoot(page: string): URL {
  const url = new URL(page);
  const folder = url.pathname.replace(/[^/]*$/, '');
  return new URL(folder.replace(/\/ui\/$/, '/'), url.origin);
}

/** The address of one endpoint, with the parameters that are not empty. */
export function endpoint(page: string, name: 'query' | 'write' | 'ping' | 'appliance' | 'appliance/counts', parameters: Record<string, string>): URL {
  const url = new URL(name, apiRoot(page));
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== '') url.searchParams.set(key, value);
  }
  return url;
}
