import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll } from 'vitest'

let directory: string | undefined
let count = 0

afterAll(() => {
  if (directory) rmSync(directory, { recursive: true, force: true })
  directory = undefined
})

/** A directory of this test file's own. */
export function temporaryDirectory(): string {
  return (directory ??= mkdtempSync(path.join(tmpdir(), 'netvc-')))
}

/** A path that does not exist yet. */
export function unixPath(): string {
  return path.join(temporaryDirectory(), `s${String(count++)}`)
}

export const unixAddress = () => `unix://${unixPath()}`
export const abstractAddress = () => `unix://@netvc-test-${String(process.pid)}-${String(count++)}`

/** Where to listen, by the kind of socket. */
export const sockets: Record<string, () => string> = {
  'tcp v4': () => 'tcp://127.0.0.1:0',
  'tcp v6': () => 'tcp://[::1]:0',
  'unix path': unixAddress,
  ...(process.platform === 'linux' ? { 'unix abstract': abstractAddress } : {}),
}

/** Every way to get two connections that talk to each other, for World.pair(). */
export const transports: Record<string, () => string> = { ...sockets, pair: () => 'pair:' }
