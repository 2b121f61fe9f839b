import { fileURLToPath } from 'node:url'

import { Program } from './programs.js'

export const anyPort = 'tcp://127.0.0.1:0'
export const tcp = (port: number) => `tcp://127.0.0.1:${String(port)}`

/** As compiled by tsconfig.tools.json. */
export function runExample(name: string, ...args: string[]): Program {
  const file = fileURLToPath(new URL(`../../../build/tools/examples/${name}.js`, import.meta.url))
  return new Program(process.execPath, [file, ...args])
}

/** One that listens. */
export async function startExample(name: string, ...args: string[]) {
  const program = runExample(name, ...args)
  const [, port] = await program.printed(/^listening tcp:\/\/127\.0\.0\.1:(\d+)$/m)
  return { program, port: Number(port) }
}
