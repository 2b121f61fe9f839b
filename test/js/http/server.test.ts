import { once } from 'node:events'
import { Agent, createServer, get, request, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { VCStream } from 'netvc'
import { afterEach, describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld, type World } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

let site: Server | undefined
afterEach(() => site?.closeAllConnections())

/** Makes the server's connections come from a listener of the world; a connected stream to it. */
async function serve(world: World, server: Server): Promise<() => Promise<VCStream>> {
  site = server
  const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => {
    server.emit('connection', vc.stream({ allowHalfOpen: true }))
  })
  return async () => (await world.reactor.connect(listener.addresses[0])).stream()
}

const textOf = async (stream: AsyncIterable<unknown>): Promise<string> => {
  let text = ''
  for await (const bytes of stream) text += String(bytes)
  return text
}

/** An agent with this one connection. */
function agentWith(stream: Duplex): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  agent.createConnection = () => stream
  return agent
}

describe('node:http on streams', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('a head that never ends is answered with 408, when the server was told that it listens', async () => {
      const server = createServer({ headersTimeout: 20, connectionsCheckingInterval: 10 })
      const open = await serve(box.world, server)
      server.emit('listening')
      const stream = await open()
      stream.write('GET / HTTP/1.1\r\nHost: a\r\n')
      expect(await textOf(stream)).toMatch(/^HTTP\/1\.1 408 /)
      server.close()
    })

    test('server.close() ends idle connections, and the busy one after its answer', async () => {
      const asked: (() => void)[] = []
      const server = createServer((_, response) => asked.push(() => response.end('late')))
      const open = await serve(box.world, server)
      server.emit('listening')
      const [idle, busy] = [await open(), await open()]
      idle.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await eventually(() => asked.length === 1, 'asked')
      asked[0]?.()
      await once(idle, 'data')
      busy.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      await eventually(() => asked.length === 2, 'asked again')
      server.close()
      expect(await textOf(idle)).toBe('')
      asked[1]?.()
      expect(await textOf(busy)).toMatch(/\r\n\r\nlate$/)
    })

    test('addresses, timeouts and counters of a request’s socket', async () => {
      const seen: unknown[] = []
      const server = createServer((incoming, response) => {
        const { remoteAddress, remoteFamily, localPort, bytesRead } = incoming.socket
        seen.push(remoteAddress, remoteFamily, localPort, bytesRead)
        response.setTimeout(1, () => response.end('after the timeout'))
      })
      const open = await serve(box.world, server)
      const stream = await open()
      const agent = agentWith(stream)
      const [answer] = (await once(get({ agent }), 'response')) as [IncomingMessage]
      expect(await textOf(answer)).toBe('after the timeout')
      expect(seen).toEqual(['127.0.0.1', 'IPv4', stream.remotePort, stream.bytesWritten])
      agent.destroy()
    })

    test('100 Continue, trailers, and a body that nobody reads', async () => {
      const server = createServer((incoming, response) => {
        response.writeHead(200, { Trailer: 'X-Length' })
        response.write('answer')
        response.addTrailers({ 'X-Length': '6' })
        response.end()
        if (incoming.url === '/unread') return
        incoming.resume()
      })
      const open = await serve(box.world, server)
      const agent = agentWith(await open())
      for (const path of ['/', '/unread']) {
        const sent = request({ agent, path, method: 'POST', headers: { Expect: '100-continue' } })
        const answered = once(sent, 'response')
        sent.flushHeaders()
        await once(sent, 'continue')
        sent.end(pattern(100_000))
        const [answer] = (await answered) as [IncomingMessage]
        expect(await textOf(answer)).toBe('answer')
        expect(answer.trailers).toEqual({ 'x-length': '6' })
      }
      agent.destroy()
    })

    test('upgrade: what came behind the head is in its hands', async () => {
      const server = createServer()
      server.on('upgrade', (_, socket, head) => {
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
        )
        socket.write(head)
        socket.pipe(socket)
      })
      const open = await serve(box.world, server)
      const stream = await open()
      const head = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'
      stream.write(Buffer.concat([Buffer.from(head), pattern(100)]))
      stream.end(pattern(300_000, 100))
      const parts = (await stream.toArray()) as Buffer[]
      const all = Buffer.concat(parts)
      const body = all.indexOf('\r\n\r\n') + 4
      expect(all.toString('latin1', 0, body)).toMatch(/^HTTP\/1\.1 101 /)
      expect(all.subarray(body).equals(pattern(300_100))).toBe(true)
    })

    test('nonsense is answered with 400, an abrupt end with nothing', async () => {
      const open = await serve(box.world, createServer())
      const stream = await open()
      stream.write('nonsense\r\n\r\n')
      expect(await textOf(stream)).toMatch(/^HTTP\/1\.1 400 /)
      const other = await open()
      other.write('GET / HT')
      other.resetAndDestroy()
    })
  })
})
