import { describe } from 'vitest'

/** threads: 0 is the inline engine. Every suite runs on both. */
export const engines = [
  { engine: 'inline', threads: 0 },
  { engine: 'net threads', threads: 2 },
] as const

export function onBothEngines(body: (threads: number) => void): void {
  for (const { engine, threads } of engines) describe(engine, () => body(threads))
}
