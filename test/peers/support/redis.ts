import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { finally_ } from './cleanup.js'
import { Program } from './programs.js'

/** Redis without files on a unix socket, and where else the options say. */
export async function startRedis(...options: string[]): Promise<string> {
  const dir = mkdtempSync(path.join(tmpdir(), 'netvc-redis-'))
  finally_(() => rmSync(dir, { recursive: true, force: true }))
  const socket = path.join(dir, 'redis')
  const memory = ['--save', '', '--appendonly', 'no', '--dir', dir]
  const server = new Program('redis-server', [
    ...['--port', '0', '--unixsocket', socket],
    ...memory,
    ...options,
  ])
  await server.printed(/ready to accept connections at/i)
  return socket
}
