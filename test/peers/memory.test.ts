import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'

import { pattern, PatternChecker } from '../js/support/pattern.js'
import { Cli } from './support/cli.js'
import { settled } from './support/settled.js'
import { connect, Upstream } from './support/sockets.js'

function rssKib(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1])
}

const piece = 1 << 20
const connections = 16
const piecesEach = 40 // far more than the kernel takes for two sockets

let accepted = 0 // pieces that the kernel has taken from the senders
async function send(socket: Socket): Promise<void> {
  for (let i = 0; i < piecesEach; i++) {
    await new Promise((resolve) => socket.write(pattern(piece, i * piece), resolve))
    accepted++
  }
  socket.end()
}

describe.runIf(process.platform === 'linux')('readers that do not read', () => {
  test('memory of the proxy stays bounded, and every byte arrives in the end', async () => {
    const upstream = await Upstream.start()
    const cli = await Cli.proxyTo(upstream.port)
    const warm = await connect(cli.port)
    ;(await upstream.next()).socket.end('x')
    await warm.ended
    warm.socket.end()
    const before = rssKib(cli.pid)

    const clients: Socket[] = []
    const sending: Promise<void>[] = []
    for (let i = 0; i < connections; i++) {
      const { socket } = await connect(cli.port)
      clients.push(socket.removeAllListeners('data').pause())
      sending.push(send((await upstream.next()).socket))
    }
    await settled(() => accepted)
    expect(accepted).toBeLessThan(connections * piecesEach) // they do wait
    // A direction of a tunnel holds at most two marks and a block, 192 KiB (docs/buffers.md).
    expect(rssKib(cli.pid) - before).toBeLessThan(connections * 192 + 4 * 1024)

    const received = clients.map(async (socket) => {
      const checker = new PatternChecker()
      socket.on('data', (bytes: Buffer) => checker.take(bytes)).resume()
      await once(socket, 'end')
      expect(checker.count).toBe(piecesEach * piece)
      socket.end()
    })
    await Promise.all([...received, ...sending])
    expect(await cli.terminate()).toBe(0)
  })
})
