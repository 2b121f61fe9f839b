import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'

import { pattern } from '../js/support/pattern.js'
import { finally_ } from './support/cleanup.js'
import { anyPort, startExample, tcp } from './support/examples.js'
import { describeWith, run } from './support/programs.js'
import { connect, freePort, Upstream, type Peer } from './support/sockets.js'

/** How the first bytes of a connection come. */
const pieces: Record<string, (bytes: Buffer) => Buffer[]> = {
  'in one packet': (bytes) => [bytes],
  'in two halves': (bytes) => {
    const middle = bytes.length >> 1
    return [bytes.subarray(0, middle), bytes.subarray(middle)]
  },
  'cut within the end of the head': (bytes) => {
    const at = bytes.indexOf('\r\n\r\n') + 2
    return [bytes.subarray(0, at), bytes.subarray(at)]
  },
  'byte by byte': (bytes) => Array.from(bytes, (byte) => Buffer.from([byte])),
}

/** Each piece in a turn of its own; TCP_NODELAY makes it a packet of its own. */
async function send({ socket }: Peer, bytes: Buffer[]): Promise<void> {
  socket.setNoDelay()
  for (const piece of bytes) {
    await new Promise((resolve) => socket.write(piece, resolve))
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const established = 'HTTP/1.1 200 Connection established\r\n\r\n'

describe('connect-proxy', () => {
  test.each(Object.keys(pieces))('head and first payload %s', async (how) => {
    const upstream = await Upstream.start()
    const target = `127.0.0.1:${String(upstream.port)}`
    const { port } = await startExample('connect-proxy', anyPort, target)
    const client = await connect(port)
    const early = pattern(300)
    const head = Buffer.from(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
    await send(client, pieces[how](Buffer.concat([head, early])))
    client.socket.end(pattern(2_000_000, early.length))
    const server = await upstream.next()
    await server.ended
    expect(Buffer.concat(server.chunks).equals(pattern(2_000_300))).toBe(true)
    server.socket.end(pattern(3_000_000, 7))
    await client.ended
    const [answer, rest] = [established.length, Buffer.concat(client.chunks)]
    expect(rest.toString('latin1', 0, answer)).toBe(established)
    expect(rest.subarray(answer).equals(pattern(3_000_000, 7))).toBe(true)
  })

  test('what is refused, and how', async () => {
    const closed = `127.0.0.1:${String(await freePort())}`
    const { port } = await startExample('connect-proxy', anyPort, closed)
    const cases: [head: string, status: number][] = [
      [`CONNECT ${closed} HTTP/1.1`, 502],
      ['CONNECT 127.0.0.1:22 HTTP/1.1', 403],
      ['GET / HTTP/1.1', 405],
      ['nonsense', 400],
      ['CONNECT a:1 HTTP/1.1\r\nno colon', 400],
      ['CONNECT a:1 HTTP/1.1\r\nfolded: a\r\n b', 400],
      [`CONNECT a:1 HTTP/1.1\r\nlong: ${'x'.repeat(17_000)}`, 431],
    ]
    for (const [head, status] of cases) {
      const client = await connect(port)
      client.socket.write(`${head}\r\n\r\n`)
      await client.ended
      expect(client.text).toMatch(new RegExp(`^HTTP/1\\.1 ${String(status)} .*\\r\\n\\r\\n$`, 's'))
    }
    // One that says nothing, and goes.
    const client = await connect(port)
    client.socket.end()
    await client.over
  })
})

describeWith('curl', 'curl', 'connect-proxy with curl', () => {
  test('curl -p -x, many at once', async () => {
    const body = pattern(1_000_000)
    const server = createServer((_, response) => response.end(body)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    finally_(() => server.closeAllConnections())
    finally_(() => server.close())
    const target = `127.0.0.1:${String((server.address() as AddressInfo).port)}`
    const { port } = await startExample('connect-proxy', anyPort, target)
    const proxy = ['-sS', '-p', '-x', `http://127.0.0.1:${String(port)}`, '-o', '/dev/null']
    const sizes = ['-w', '%{http_code} %{http_connect} %{size_download}\n']
    const { code, stdout } = await run('curl', [
      ...proxy,
      ...sizes,
      ...['--parallel', `http://${target}/[1-50]`],
    ])
    expect(code).toBe(0) // its progress of parallel transfers cannot be silenced
    // 000 where the tunnel of another request was used again.
    expect(stdout).toMatch(/^(200 (200|000) 1000000\n){50}$/)
    expect(stdout).toMatch(/^200 200/m)
  })
})

async function webSocketServer(verify?: (path: string) => number | undefined) {
  const seen: (string | undefined)[] = []
  const server = new WebSocketServer({
    ...{ host: '127.0.0.1', port: 0, maxPayload: 1 << 26 },
    verifyClient: ({ req }, answer) => {
      seen.push(req.headers['x-forwarded-for'] as string | undefined)
      const status = verify?.(req.url ?? '')
      answer(status === undefined, status)
    },
  })
  server.on('connection', (socket, request) => {
    socket.send(`welcome to ${request.url ?? ''}`)
    socket.on('message', (data, binary) => socket.send(data, { binary }))
  })
  await once(server, 'listening')
  finally_(() => server.close())
  finally_(() => server.clients.forEach((socket) => socket.terminate()))
  return { port: (server.address() as AddressInfo).port, seen }
}

/** The next message. */
const message = async (socket: WebSocket): Promise<Buffer> =>
  ((await once(socket, 'message')) as [Buffer])[0]

describe('upgrade', () => {
  test('frames of all sizes both ways, by the route of the path', async () => {
    const [chat, rest] = [await webSocketServer(), await webSocketServer()]
    const routes = [`/chat=${tcp(chat.port)}`, `/=${tcp(rest.port)}`]
    const { port } = await startExample('upgrade', anyPort, ...routes)
    for (const [path, upstream] of [
      ['/chat/room', chat],
      ['/other', rest],
    ] as const) {
      const headers = { 'x-forwarded-for': '192.0.2.7' }
      const socket = new WebSocket(`ws://127.0.0.1:${String(port)}${path}`, { headers })
      finally_(() => socket.terminate())
      // Sent by the upstream right behind its answer.
      expect((await message(socket)).toString()).toBe(`welcome to ${path}`)
      expect(upstream.seen).toEqual(['192.0.2.7, 127.0.0.1'])
      for (const size of [0, 1, 125, 126, 70_000, 3_000_000]) {
        socket.send(pattern(size, size))
        expect((await message(socket)).equals(pattern(size, size))).toBe(true)
      }
      socket.close(4000, 'enough')
      expect((await once(socket, 'close'))[0]).toBe(4000)
    }
  })

  test.each(Object.keys(pieces))('the handshake and a first frame %s', async (how) => {
    const upstream = await webSocketServer()
    const { port } = await startExample('upgrade', anyPort, `/=${tcp(upstream.port)}`)
    const client = await connect(port)
    const head = [
      'GET /x HTTP/1.1',
      'Host: localhost',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ]
    // A masked text frame with an all-zero key.
    const frame = Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from('early')])
    const bytes = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), frame])
    await send(client, pieces[how](bytes))
    const welcome = '\x81\x0dwelcome to /x'
    const echo = '\x81\x05early'
    const text = () => Buffer.concat(client.chunks).toString('latin1')
    while (!text().endsWith(echo)) await once(client.socket, 'data')
    const [answer, frames] = text().split('\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 101 .*s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/s)
    expect(frames).toBe(welcome + echo)
  })

  test('what is refused, and how', async () => {
    const upstream = await webSocketServer(() => 401)
    const routes = [`/a=${tcp(upstream.port)}`, `/b=${tcp(await freePort())}`]
    const { port } = await startExample('upgrade', anyPort, ...routes)
    const base = `127.0.0.1:${String(port)}`
    for (const [path, status] of [
      ['/a', 401],
      ['/b', 502],
      ['/c', 404],
    ] as const) {
      const [error] = (await once(new WebSocket(`ws://${base}${path}`), 'error')) as [Error]
      expect(error.message).toBe(`Unexpected server response: ${String(status)}`)
    }
    expect((await fetch(`http://${base}/a`)).status).toBe(426)
  })
})

describe('mount', () => {
  const head = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`

  test('/api is answered here, the rest by the backend; many at once', async () => {
    const paths: (string | undefined)[] = []
    const backend = createServer((request, response) => {
      paths.push(request.url)
      request.pipe(response)
    }).listen(0, '127.0.0.1')
    await once(backend, 'listening')
    finally_(() => backend.closeAllConnections())
    finally_(() => backend.close())
    const { port } = await startExample(
      'mount',
      anyPort,
      tcp((backend.address() as AddressInfo).port),
    )
    const base = `http://127.0.0.1:${String(port)}`
    const one = async (i: number) => {
      const path = `/api/${String(i)}?${'q'.repeat(i * 20 + 1)}`
      const api = await fetch(`${base}${path}`)
      expect(api.headers.get('connection')).toBe('close')
      expect(await api.json()).toEqual({ path, received: 0 })
      const posted = await fetch(`${base}/api/up`, { method: 'POST', body: pattern(i * 40_000) })
      expect(await posted.json()).toEqual({ path: '/api/up', received: i * 40_000 })
      const rest = await fetch(`${base}/${String(i)}`, { method: 'PUT', body: pattern(i * 40_000) })
      expect(Buffer.from(await rest.arrayBuffer()).equals(pattern(i * 40_000))).toBe(true)
    }
    await Promise.all(Array.from({ length: 30 }, (_, i) => one(i)))
    expect(paths.sort()).toEqual(Array.from({ length: 30 }, (_, i) => `/${String(i)}`).sort())
  })

  test.each(Object.keys(pieces))('head and body %s', async (how) => {
    const { port } = await startExample('mount', anyPort, tcp(await freePort()))
    const client = await connect(port)
    const request = `${head('/api/x', 'Content-Length: 300\r\n')}`.replace('GET', 'POST')
    await send(client, pieces[how](Buffer.concat([Buffer.from(request), pattern(300)])))
    await client.ended
    expect(client.text).toMatch(/^HTTP\/1\.1 200 .*\{"path":"\/api\/x","received":300\}\n/s)
  })

  test('a backend that is not there is answered with 502; a client that goes takes nobody along', async () => {
    const { port } = await startExample('mount', anyPort, tcp(await freePort()))
    const client = await connect(port)
    client.socket.write(head('/'))
    await client.ended
    expect(client.text).toMatch(/^HTTP\/1\.1 502 /)
    for (const part of [head('/api/x').slice(0, -2), head('/api/x', 'Content-Length: 9\r\n')]) {
      for (const leave of ['reset', 'end'] as const) {
        const other = await connect(port)
        other.socket.write(part)
        if (leave === 'reset') other.reset()
        else other.socket.end()
        await other.closed
      }
    }
    const last = await fetch(`http://127.0.0.1:${String(port)}/api/last`)
    expect(await last.json()).toEqual({ path: '/api/last', received: 0 })
  })
})
