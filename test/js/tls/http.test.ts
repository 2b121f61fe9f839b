import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import nodeNet, { type AddressInfo, type Server, type Socket } from 'node:net'
import tls from 'node:tls'
import { Reactor } from 'netvc'
import vcNet from 'netvc/net'
import { afterAll, describe, expect, test } from 'vitest'
import { cert, key } from './certificate.js'

// https and http2 of Node over netvc's sockets. node:net is the control of every test.

const client = { ca: cert, servername: 'localhost' }
const reactor = new Reactor()
afterAll(() => reactor.close())

const ways = ['node:net', 'netvc/net', 'vc.stream()'] as const
type Way = (typeof ways)[number]

/** A front of this kind that gives its connections to a server of Node; its port. */
async function front(way: Way, web: Server | http2.Http2Server, raws: Socket[]): Promise<number> {
  const take = (raw: Socket) => {
    raws.push(raw)
    web.emit('connection', raw)
  }
  if (way === 'vc.stream()') {
    const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
      take(vc.stream({ allowHalfOpen: true }) as unknown as Socket)
    })
    web.once('done', () => void listener.close())
    return Number(new URL(listener.addresses[0]).port)
  }
  const server = (way === 'node:net' ? nodeNet : vcNet).createServer({ allowHalfOpen: true }, take)
  web.once('done', () => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return (server.address() as AddressInfo).port
}

async function dial(way: Way, port: number): Promise<Socket> {
  if (way === 'vc.stream()') {
    return (await reactor.connect(`tcp://127.0.0.1:${String(port)}`)).stream() as unknown as Socket
  }
  const socket = (way === 'node:net' ? nodeNet : vcNet).connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** What each way has seen; the first is right. */
async function compare(play: (way: Way) => Promise<unknown>): Promise<void> {
  const right = await play('node:net')
  for (const way of ways.slice(1)) expect([way, await play(way)]).toEqual([way, right])
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException | undefined)?.code

describe('https', () => {
  test('addresses of requests, and the end of a connection that is kept', () =>
    compare(async (way) => {
      const seen: unknown[] = []
      const raws: Socket[] = []
      const web = https.createServer({ cert, key }, (request, response) => {
        const { remoteAddress, remotePort, localPort, remoteFamily } = request.socket
        seen.push(
          remoteAddress,
          remoteFamily,
          remotePort === raws[0].remotePort,
          localPort === port,
        )
        response.end('ok')
      })
      const port = await front(way, web, raws)
      const raw = await dial(way, port)
      const agent = new https.Agent({ keepAlive: true })
      agent.createConnection = () => tls.connect({ socket: raw, ...client })
      for (let i = 0; i < 2; i++) {
        const request = https.get({ agent, host: 'localhost' })
        const [response] = (await once(request, 'response')) as [IncomingMessage]
        seen.push(request.reusedSocket, response.socket.remotePort === port)
        await once(response.resume(), 'close')
        await new Promise((resolve) => setImmediate(resolve))
      }
      agent.destroy()
      await once(raws[0], 'close')
      web.emit('done')
      return seen
    }))

  test.each(['destroy', 'resetAndDestroy'] as const)('a client that goes in a request: %s', (how) =>
    compare(async (way) => {
      const seen: unknown[] = []
      const raws: Socket[] = []
      const web = https.createServer({ cert, key }, (request, response) => {
        request.on('error', (e) => seen.push('request', codeOf(e)))
        response.on('error', (e) => seen.push('response', codeOf(e)))
        request.socket.on('error', (e) => seen.push('socket', codeOf(e)))
        response.on('close', () => seen.push('close', response.writableFinished))
        response.write('part')
      })
      web.on('clientError', (e, socket) => {
        seen.push('clientError', codeOf(e))
        socket.destroy()
      })
      const port = await front(way, web, raws)
      const raw = await dial('node:net', port)
      const secure = tls.connect({ socket: raw, ...client }).on('error', () => {})
      secure.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345')
      await once(secure, 'data')
      const closed = new Promise((resolve) => raws[0].once('close', resolve))
      raw[how]()
      await closed
      await new Promise((resolve) => setImmediate(resolve))
      web.emit('done')
      return seen
    }),
  )
})

describe.each(['http2', 'http2 over TLS'])('%s', (name) => {
  const secure = name !== 'http2'
  const makeServer = () => (secure ? http2.createSecureServer({ cert, key }) : http2.createServer())
  const session = (raw: Socket) =>
    http2.connect(`${secure ? 'https' : 'http'}://localhost`, {
      createConnection: () =>
        secure ? tls.connect({ socket: raw, ...client, ALPNProtocols: ['h2'] }) : raw,
    })

  test('requests with bodies, addresses, and the end', () =>
    compare(async (way) => {
      const seen: unknown[] = []
      const raws: Socket[] = []
      const web = makeServer()
      web.on('stream', (stream: http2.ServerHttp2Stream) => {
        const { socket } = stream.session!
        seen.push(socket.remoteAddress, socket.remotePort === raws[0].remotePort)
        stream.respond()
        stream.pipe(stream)
      })
      const port = await front(way, web, raws)
      const raw = await dial(way, port)
      const h2 = session(raw)
      const body = Buffer.alloc(1 << 20, 'abc')
      for (let i = 0; i < 2; i++) {
        const request = h2.request({ ':method': 'POST' })
        request.end(body)
        const chunks: Buffer[] = []
        for await (const chunk of request) chunks.push(chunk as Buffer)
        seen.push(Buffer.concat(chunks).equals(body))
      }
      seen.push(h2.socket.remotePort === port, h2.socket.localPort === raw.localPort)
      const ends = [h2, raws[0]].map((one) => new Promise((r) => one.once('close', r)))
      h2.close()
      await Promise.all(ends)
      web.emit('done')
      return seen
    }))

  test('a server that resets', () =>
    compare(async (way) => {
      const raws: Socket[] = []
      const web = makeServer()
      web.on('stream', (stream: http2.ServerHttp2Stream) => {
        stream.on('error', () => {})
        stream.respond()
        stream.write('part')
      })
      web.on('session', (s) => s.on('error', () => {}))
      const port = await front('node:net', web, raws)
      const h2 = session(await dial(way, port))
      const seen: unknown[] = []
      h2.on('error', (e) => seen.push('session', codeOf(e)))
      const request = h2.request()
      request.on('error', (e) => seen.push('request', codeOf(e)))
      await once(request, 'data')
      const closed = new Promise((resolve) => h2.once('close', resolve))
      // Settings and their answers have been there and back: nothing is under way any more.
      await new Promise((resolve) => h2.ping(resolve))
      raws[0].resetAndDestroy()
      await closed
      web.emit('done')
      return seen
    }))
})

const frame = (type: number, flags: number, id: number, payload: string) => {
  const bytes = Buffer.from(payload, 'latin1')
  const head = Buffer.alloc(9)
  head.writeUIntBE(bytes.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(id, 5)
  return Buffer.concat([head, bytes])
}

// Node tells a frame by a tick; what the next one says must not come before.
describe.each([1000, 5])('http2: frames in pieces of %i bytes', (size) => {
  const inPieces = async (to: Socket, bytes: Buffer) => {
    to.setNoDelay(true)
    for (let at = 0; at < bytes.length; at += size) {
      to.write(bytes.subarray(at, at + size))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  test('a client gets the response that a reset follows at once', () =>
    compare(async (way) => {
      const server = nodeNet.createServer((raw) => {
        raw.on('error', () => {})
        let bytes = Buffer.alloc(0)
        raw.on('data', (more) => {
          bytes = Buffer.concat([bytes, more])
          let at = 24
          while (at + 9 <= bytes.length && bytes[at + 3] !== 1) at += 9 + bytes.readUIntBE(at, 3)
          if (at + 9 > bytes.length) return
          raw.removeAllListeners('data').resume()
          const response = [
            ...[frame(4, 0, 0, ''), frame(4, 1, 0, ''), frame(1, 4, 1, '\x88')],
            ...[frame(0, 0, 1, 'foo'), frame(3, 0, 1, '\0\0\0\0')],
          ]
          void inPieces(raw, Buffer.concat(response))
        })
      })
      await once(server.listen(0, '127.0.0.1'), 'listening')
      const raw = await dial(way, (server.address() as AddressInfo).port)
      const h2 = http2.connect('http://localhost', { createConnection: () => raw })
      const seen: unknown[] = []
      h2.on('error', (e) => seen.push('session', codeOf(e)))
      const request = h2.request()
      request.on('response', (headers) => seen.push(headers[':status']))
      request.on('data', (bytes) => seen.push(String(bytes)))
      request.on('end', () => seen.push('end'))
      request.on('error', (e) => seen.push('request', codeOf(e)))
      await new Promise((resolve) => request.once('close', resolve))
      h2.destroy()
      server.close()
      return seen
    }))

  test('a server answers behind the preface', () =>
    compare(async (way) => {
      const web = http2.createServer()
      web.on('stream', (stream: http2.ServerHttp2Stream) => {
        stream.respond()
        stream.end('yes')
      })
      const raw = nodeNet.connect(await front(way, web, []), '127.0.0.1')
      await once(raw, 'connect')
      const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
      // :method GET, :scheme http, :path /, :authority a
      const request = frame(1, 5, 1, '\x82\x86\x84\x41\x01a')
      const got: Buffer[] = []
      const done = new Promise<void>((resolve) => {
        raw.on('data', (bytes) => {
          got.push(bytes)
          if (Buffer.concat(got).includes('yes')) resolve()
        })
      })
      void inPieces(raw, Buffer.concat([preface, frame(4, 0, 0, ''), request]))
      await done
      raw.destroy()
      web.emit('done')
      return 'yes'
    }))
})
