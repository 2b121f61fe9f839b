/**
 * Milliseconds after which something never happens: no test waits for it to pass. Sanitizers make
 * programs several times slower, and the machine may be doing other things.
 */
export const patience =
  process.env['NETVC_SANITIZE'] || process.env['NETVC_LATE'] ? 100_000 : 40_000
