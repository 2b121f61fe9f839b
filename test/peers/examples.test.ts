import { describe, expect, test } from 'vitest'

import { pattern } from '../js/support/pattern.js'
import { anyPort, startExample, tcp } from './support/examples.js'
import { connect, Upstream } from './support/sockets.js'

describe.each(['echo', 'vio-echo', 'iterate'])('%s', (name) => {
  test('sends back every byte, and what is left after the end of input', async () => {
    const { port } = await startExample(name, anyPort)
    const clients = await Promise.all(Array.from({ length: 10 }, () => connect(port)))
    for (const [i, client] of clients.entries()) client.socket.end(pattern(3_000_000, i))
    for (const [i, client] of clients.entries()) {
      await client.ended
      expect(Buffer.concat(client.chunks).equals(pattern(3_000_000, i))).toBe(true)
    }
  })

  test('waits for a peer that does not read', async () => {
    const { port } = await startExample(name, anyPort)
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

test('iterate: so many at once, the next one when one has gone', async () => {
  const { port } = await startExample('iterate', anyPort, '2')
  const [first, second, third] = [await connect(port), await connect(port), await connect(port)]
  third.socket.write('third')
  for (let n = 1; n <= 20; n++) {
    for (const client of [first, second]) {
      client.socket.write('ping')
      await client.has(n * 4)
    }
  }
  expect(third.received).toBe(0)
  first.reset()
  await third.has(5)
  expect(third.text).toBe('third')
})

test('proxy', async () => {
  const upstream = await Upstream.start()
  const { port } = await startExample('proxy', anyPort, tcp(upstream.port))
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
  const { port } = await startExample(
    'peek',
    anyPort,
    ...[ssh, tls, other].map(({ port }) => tcp(port)),
  )
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

test('fanout: every line to everybody, whole; who leaves is missed by nobody', async () => {
  const { port } = await startExample('fanout', anyPort)
  const clients = await Promise.all(Array.from({ length: 30 }, () => connect(port)))
  const line = (from: number, n: number) => `${String(from)}:${String(n)} ${'x'.repeat(n * 100)}\n`
  // Who has heard a line of its own has joined.
  for (const client of clients) {
    client.socket.write('hel')
    client.socket.write('lo\n')
    await client.has(6)
  }
  const before = clients.map((client) => client.received)
  for (let n = 0; n < 20; n++) {
    for (const from of [0, 1, 2]) clients[from].socket.write(line(from, n))
  }
  clients[29].reset()
  clients[28].socket.destroy()
  let size = 0
  for (let n = 0; n < 20; n++) for (const from of [0, 1, 2]) size += line(from, n).length
  for (const [i, client] of clients.slice(0, 28).entries()) {
    await client.has(before[i] + size)
    const lines = client.text.slice(before[i]).split(/(?<=\n)/)
    for (const from of [0, 1, 2]) {
      expect(lines.filter((text) => text.startsWith(`${String(from)}:`))).toEqual(
        Array.from({ length: 20 }, (_, n) => line(from, n)),
      )
    }
  }
})

test('fanout: one that does not read is thrown out, and holds up nobody', async () => {
  const { port } = await startExample('fanout', anyPort)
  const [lazy, sender, other] = [await connect(port), await connect(port), await connect(port)]
  for (const client of [lazy, sender, other]) {
    client.socket.write('hello\n')
    await client.has(6)
  }
  lazy.socket.pause()
  const before = other.received
  const line = `${'y'.repeat(9999)}\n`
  for (let n = 1; n <= 2000; n++) {
    sender.socket.write(line)
    await other.has(before + n * line.length)
  }
  lazy.socket.resume()
  await lazy.over
  expect(lazy.received).toBeLessThan(2000 * line.length)
})

test('workers: clients notice nothing of workers that end', async () => {
  const { program, port } = await startExample('workers', anyPort, '3')
  const clients = await Promise.all(Array.from({ length: 12 }, () => connect(port)))
  let stop = false
  const seen = new Set<string>()
  const talks = clients.map(async (client, i) => {
    let text = ''
    let n = 0
    for (; !stop; n++) {
      const at = client.text.length
      client.socket.write(`${String(i)} line`)
      client.socket.write(` ${String(n)}\n`)
      do {
        await client.has(client.received + 1)
        text = client.text.slice(at)
      } while (!text.endsWith('\n'))
      const [, by, rest] = /^(\d+) (.*)\n$/.exec(text)!
      expect(rest).toBe(`${String(i)} line ${String(n)}`)
      seen.add(by)
    }
    return n
  })
  // Until others than those that were there first have answered, too.
  for (let ends = 1; ends <= 10 || seen.size <= 3; ends++) {
    program.kill('SIGUSR2')
    await program.printed(new RegExp(`^(a worker has ended\n){${String(ends)}}`, 'm'))
  }
  stop = true
  for (const n of await Promise.all(talks)) expect(n).toBeGreaterThan(0)
  expect(clients.map((client) => client.error)).toEqual(clients.map(() => undefined))
  const late = await connect(port)
  late.socket.end('bye\n')
  await late.ended
  expect(late.text).toMatch(/^\d+ bye\n$/)
})
