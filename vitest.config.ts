import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const built = (file: string) => fileURLToPath(new URL(`dist/${file}`, import.meta.url))
// With threads that are late (npm run test:late) each turn of a loop takes milliseconds.
const patience = process.env.NETVC_LATE ? 300_000 : process.env.NETVC_SANITIZE ? 150_000 : 60_000

export default defineConfig({
  // Tests use the compiled package under its own name, like users.
  resolve: { alias: { 'netvc/net': built('net/index.js'), netvc: built('index.js') } },
  test: {
    include: ['test/js/**/*.test.ts', 'test/peers/**/*.test.ts'],
    // Foreign programs are no place for a sanitizer's runtime; a thread has no folder of its own;
    // and what is compared with Node event by event is compared at Node's own speed.
    exclude: process.env.NETVC_SANITIZE
      ? ['test/peers/**', 'test/js/net/unix.test.ts', 'test/js/tls/teardown.test.ts']
      : [],
    reporters: ['default', './test/peers/support/skipped.ts'],
    // A crash of the addon ends one fork, not the run. Under a sanitizer forks hide leaks and
    // races (their exit codes are ignored), so those runs use threads.
    pool: process.env.NETVC_SANITIZE ? 'threads' : 'forks',
    // Much of a test is waiting: two files at a time even where there is one CPU. Files in one
    // process come one after the other, since they count its descriptors and blocks.
    maxWorkers: process.env.NETVC_SANITIZE ? 1 : 2,
    testTimeout: patience,
    hookTimeout: patience,
    // Tests that pass at the second try hide races.
    retry: 0,
    // dist/ is loaded by Node itself and not transformed: one instance, also in worker threads.
    server: { deps: { external: [/\/dist\//] } },
  },
})
