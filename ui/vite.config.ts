// How the page is built. Relative addresses, so that the same files serve at `/` of the page's port and
// under `/ui/` of the API port; nothing inlined, so that `default-src 'self'` is policy enough; no source
// maps, because the result is embedded in the binary.
//
// `TANDEM_STORE=http://127.0.0.1:8086 npm run dev` develops against a running store.

import { defineConfig, loadEnv } from 'vite';

export default defineConfig(({ mode }) => {
  const store = loadEnv(mode, '.', 'TANDEM_')['TANDEM_STORE'] ?? 'http://127.0.0.1:8086';
  return {
    base: './',
    build: {
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
      sourcemap: false,
    },
    server: {
      host: '127.0.0.1',
      proxy: { '/query': store, '/write': store, '/ping': store },
    },
  };
});
