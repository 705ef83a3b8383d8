// How the page is built. Relative addresses, so that the same files serve at `/` of the page's port and
// under `/ui/` of the API port; nothing inlined, so that `default-src 'self'` is policy enough; no source
// maps, because the result is embedded in the binary.
//
// `TANDEM_STORE=http://127.0.0.1:8086 npm run dev` develops against a running store.

import { defineConfig, loadEnv, type Plugin } from 'vite';

/** Holds the first picture back until the script ran, so that a chosen theme does not follow a flash of the other. */
const renderOnce: Plugin = {
  name: 'render-once',
  apply: 'build',
  transformIndexHtml: {
    order: 'post',
    handler: (html) => html.replace('<script type="module"', '<script type="module" blocking="render"'),
  },
};

export default defineConfig(({ mode }) => {
  const store = loadEnv(mode, '.', 'TANDEM_')['TANDEM_STORE'] ?? 'http://127.0.0.1:8086';
  return {
    base: './',
    plugins: [renderOnce],
    build: {
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
      sourcemap: false,
    },
    server: {
      host: '127.0.0.1',
      proxy: { '/query': store, '/write': store, '/ping': store, '/appliance': store },
    },
  };
});
