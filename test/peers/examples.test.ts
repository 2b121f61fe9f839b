import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

import { pattern } from '../js/support/pattern.js'
import { Program } from './support/programs.js'
import { connect, Upstream } from './support/sockets.js'

/** As compiled by tsconfig.tools.json. */
async function startExample(name: string, ...args: string[]): Promise<number> {
  const file = fileURLToPath(new URL(`../../build/tools/examples/${name}.js`, import.meta.url))
  const program = new Program(process.execPath, [file, ...args])
  const [, port] = await program.printed(/^listening tcp:\/\/127\.0\.0\.1:(\d+)$/m)
  return Number(port)
}

const anyPort = 'tcp://127.0.0.1:0'
const addressOf = ({ port }: Upstream) => `tcp://127.0.0.1:${String(port)}`

describe.each(['echo', 'vio-echo'])('%s', (name) => {
  test('sends back every byte, and what is left after the end of input', async () => {
    const port = await startExample(name, anyPort)
    const clients = await Promise.all(Array.from({ length: 10 }, () => connect(port)))
    for (const [i, client] of clients.entries()) client.socket.end(pattern(3_000_000, i))
    for (const [i, client] of clients.entries()) {
      await client.ended
      expect(Buffer.concat(client.chunks).equals(pattern(3_000_000, i))).toBe(true)
    }
  })

  test('waits for a peer that does not read', async () => {
    const port = await startExample(name, anyPort)
    const client = await connect(port)
    client.socket.pause()
    const size = 40 << 20
    client.socket.end(pattern(size))
    // A second one is served meanwhile.
    const other = await connect(port)
    other.socket.write('ping')
    await other.has(4)
    client.socket.resume()
    await client.ended
    expect(Buffer.concat(client.chunks).equals(pattern(size))).toBe(true)
  })
})

test('proxy', async () => {
  const upstream = await Upstream.start()
  const port = await startExample('proxy', anyPort, addressOf(upstream))
  const client = await connect(port)
  client.socket.end(pattern(500_000))
  const server = await upstream.next()
  await server.ended
  expect(Buffer.concat(server.chunks).equals(pattern(500_000))).toBe(true)
  server.socket.end('done')
  await client.ended
  expect(client.text).toBe('done')
})

test('peek: each protocol to its upstream, with every byte', async () => {
  const [ssh, tls, other] = [await Upstream.start(), await Upstream.start(), await Upstream.start()]
  const port = await startExample('peek', anyPort, ...[ssh, tls, other].map(addressOf))
  const tail = pattern(200_000)
  const cases: [Upstream, Buffer][] = [
    [ssh, Buffer.from('SSH-2.0-test\r\n')],
    [tls, Buffer.from([0x16, 3, 1, 0, 200, 1])],
    [other, Buffer.from('GET / HTTP/1.1\r\n')],
  ]
  for (const [upstream, head] of cases) {
    const client = await connect(port)
    client.socket.write(head.subarray(0, 2)) // too little to decide
    client.socket.write(head.subarray(2))
    client.socket.end(tail)
    const server = await upstream.next()
    await server.ended
    expect(Buffer.concat(server.chunks).equals(Buffer.concat([head, tail]))).toBe(true)
    server.socket.end()
    await client.ended
  }
})
