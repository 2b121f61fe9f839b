/** @internal The words of NETVC_DEBUG when netvc was loaded: docs/debugging.md. */
export const debug: ReadonlySet<string> = new Set((process.env['NETVC_DEBUG'] ?? '').split(','))
