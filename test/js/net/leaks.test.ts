import { once } from 'node:events'
import http from 'node:http'
import { Reactor } from 'netvc'
import net from 'netvc/net'
import { afterAll, beforeAll, test } from 'vitest'
import { openDescriptors } from '../support/descriptors.js'
import { eventually } from '../support/fixture.js'

// However connections end, their blocks, buffers and descriptors come back.

const probe = new Reactor()
afterAll(() => probe.close())
let port: number
let server: net.Server
const ways: ((socket: net.Socket) => unknown)[] = [
  (s) => s.end(),
  (s) => s.destroy(),
  (s) => s.resetAndDestroy(),
  (s) => s.end(Buffer.alloc(200_000)),
  (s) => s.write(Buffer.alloc(3_000_000), () => s.destroy()),
  (s) => s.destroy(new Error('mine')),
]
beforeAll(async () => {
  let n = 0
  server = net.createServer({ allowHalfOpen: false }, (socket) => {
    socket.on('error', () => undefined)
    if (++n % 3 === 0)
      socket.pause() // bytes stay in the engine
    else socket.resume()
    if (n % 5 === 0) socket.write(Buffer.alloc(1_000_000))
    if (n % 7 === 0) socket.end('bye')
    if (n % 3 === 0) setImmediate(() => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as net.AddressInfo).port
})
afterAll(() => server.close())

const state = () => {
  const { connections, blocks, buffers } = probe.stats()
  return { connections, blocks, buffers, descriptors: openDescriptors().length }
}

async function churn(n: number): Promise<void> {
  for (let i = 0; i < n; i += 6) {
    await Promise.all(
      ways.map(async (end) => {
        const socket = net.connect(port, '127.0.0.1', () => end(socket))
        socket.on('error', () => undefined).resume()
        await new Promise((resolve) => socket.once('close', resolve))
      }),
    )
  }
  await new Promise<void>((resolve) => {
    const look = () =>
      server.getConnections((_, open) => (open === 0 ? resolve() : setImmediate(look)))
    look()
  })
}

test('connections that end in many ways', async () => {
  await churn(60)
  const before = state()
  await churn(600)
  await eventually(
    () => {
      const now = state()
      return Object.entries(before).every(([key, value]) => now[key as keyof typeof now] <= value)
    },
    `all as before: ${JSON.stringify(before)}`,
  )
})

test('http over it: keep-alive, pipelining, aborted bodies', async () => {
  const web = http.createServer((request, response) => {
    request.on('error', () => undefined).resume()
    if (request.url === '/big') response.end(Buffer.alloc(100_000))
    else request.on('end', () => response.end('hello'))
  })
  const front = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
    web.emit('connection', socket),
  )
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  const { port } = front.address() as net.AddressInfo

  /** Pipelined requests; answers are counted by their bodies. */
  const ask = (requests: number) =>
    new Promise<void>((resolve, reject) => {
      let text = ''
      const socket = net.connect(port, '127.0.0.1')
      socket.setEncoding('latin1').on('error', reject)
      socket.on('data', (more: string) => {
        text += more
        if (text.split('\r\n\r\nhello').length > requests) socket.end()
      })
      socket.on('close', () => resolve())
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(requests))
    })
  /** A body that is announced and never comes, and an answer that nobody wants. */
  const abort = async (head: string) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(head)
    await once(socket, 'connect')
    setImmediate(() => socket.destroy())
    await once(socket, 'close')
  }
  const round = async () => {
    await Promise.all([
      ...Array.from({ length: 10 }, () => ask(50)),
      abort('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf'),
      abort('GET /big HTTP/1.1\r\nHost: x\r\n\r\n'),
    ])
    await eventually(
      () => (front as unknown as { _connections: number })._connections === 0,
      'all gone',
    )
  }
  await round()
  const before = state()
  for (let i = 0; i < 5; i++) await round()
  await eventually(
    () => {
      const now = state()
      return Object.entries(before).every(([key, value]) => now[key as keyof typeof now] <= value)
    },
    `all as before: ${JSON.stringify(before)}`,
  )
  await new Promise((resolve) => front.close(resolve))
})
