import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { expect, test } from 'vitest'

import { pattern } from '../js/support/pattern.js'
import { finally_ } from './support/cleanup.js'
import { Cli } from './support/cli.js'
import { describeWith, Program, run } from './support/programs.js'

/** Position-dependent bytes, made piece by piece. */
function* body(bytes: number): Generator<Buffer> {
  const piece = 65_521 * 4 // whole periods, so that one buffer serves all
  const whole = pattern(piece)
  for (let at = 0; at < bytes; at += piece) yield whole.subarray(0, Math.min(piece, bytes - at))
}

function sha256Of(bytes: number): string {
  const hash = createHash('sha256')
  for (const piece of body(bytes)) hash.update(piece)
  return hash.digest('hex')
}

async function serveHttp(
  handler: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<number> {
  const server = createServer((request, response) => {
    handler(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  finally_(() => server.closeAllConnections())
  finally_(() => server.close())
  return (server.address() as AddressInfo).port
}

describeWith('curl', 'curl', 'curl through netvc proxy', () => {
  test('many small requests, one connection after the other and in parallel', async () => {
    const port = await serveHttp(async (request, response) => {
      response.end(`answer to ${String(request.url)}\n`)
      return Promise.resolve()
    })
    const cli = await Cli.proxyTo(port)
    const url = `http://127.0.0.1:${String(cli.port)}`
    const kept = await run('curl', ['-sS', `${url}/[1-500]`])
    expect(kept).toMatchObject({ code: 0, stderr: '' })
    expect(kept.stdout.split('\n').filter((l) => /^answer to \/\d+$/.test(l)).length).toBe(500)

    const close = ['-H', 'Connection: close', '--parallel', '--parallel-max', '40']
    const fresh = await run('curl', ['-sS', ...close, `${url}/[1-500]`])
    expect(fresh.code).toBe(0) // its progress of parallel transfers cannot be silenced
    const numbers = [...fresh.stdout.matchAll(/^answer to \/(\d+)$/gm)].map((m) => Number(m[1]))
    expect(new Set(numbers).size).toBe(500)
  })

  test('a body of 1 GiB down, by checksum', { timeout: 120_000 }, async () => {
    const size = 1 << 30
    const port = await serveHttp(async (_, response) => {
      response.setHeader('content-length', size)
      await pipeline(body(size), response)
    })
    const cli = await Cli.proxyTo(port)
    const url = `http://127.0.0.1:${String(cli.port)}/`
    const pipe = new Program('sh', ['-c', 'curl -sS "$0" | sha256sum', url])
    expect((await pipe.exited).code).toBe(0)
    expect(pipe.stderr).toBe('')
    expect(pipe.stdout.split(' ')[0]).toBe(sha256Of(size))
    expect(await cli.terminate()).toBe(0)
    expect(cli.stdout).toMatch(/out 1\.0 GiB/)
  })

  test('a body of 256 MiB up, by checksum', { timeout: 60_000 }, async () => {
    const size = 1 << 28
    const port = await serveHttp(async (request, response) => {
      const hash = createHash('sha256')
      for await (const piece of request) hash.update(piece as Buffer)
      response.end(hash.digest('hex'))
    })
    const cli = await Cli.proxyTo(port)
    const curl = new Program('curl', ['-sS', '-T', '-', `http://127.0.0.1:${String(cli.port)}/`])
    await pipeline(body(size), curl.child.stdin!)
    expect((await curl.exited).code).toBe(0)
    expect(curl.stdout).toBe(sha256Of(size))
  })
})
