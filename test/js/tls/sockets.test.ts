import { once } from 'node:events'
import nodeNet, { type AddressInfo, type Socket } from 'node:net'
import { Stream } from 'node:stream'
import tls from 'node:tls'
import { Reactor } from 'netvc'
import vcNet from 'netvc/net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { cert, key } from './certificate.js'

// What TLS of Node needs of the socket below it. node:net is the control of every test.

const ways = ['node:net', 'netvc/net', 'vc.stream()'] as const
type Way = (typeof ways)[number]
const nets = ['node:net', 'netvc/net'] as const
const netOf = (way: (typeof nets)[number]) => (way === 'node:net' ? nodeNet : vcNet)
const reactor = new Reactor()
const client = { ca: cert, servername: 'localhost' }

let port: number
/** Answers in the clear to the first bytes, and is TLS that echoes from then on. */
const server = nodeNet.createServer((raw) => {
  raw.on('error', () => {})
  raw.once('data', (first) => {
    raw.write(`${first.length} bytes`)
    const secure = new tls.TLSSocket(raw, { isServer: true, cert, key })
    secure.on('error', () => {}).pipe(secure)
  })
})
/** TLS that echoes. */
const secureServer = tls.createServer({ cert, key }, (s) => s.on('error', () => {}).pipe(s))
let securePort: number
beforeAll(async () => {
  for (const one of [server, secureServer]) await once(one.listen(0, '127.0.0.1'), 'listening')
  port = (server.address() as AddressInfo).port
  securePort = (secureServer.address() as AddressInfo).port
})
afterAll(async () => {
  server.close()
  secureServer.close()
  await reactor.close()
})

async function dial(way: Way, to: number): Promise<Socket> {
  if (way === 'vc.stream()') {
    return (await reactor.connect(`tcp://127.0.0.1:${to}`)).stream() as unknown as Socket
  }
  const socket = netOf(way).connect(to, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** Connections that it accepts come to the function. */
async function listen(way: Way, accepted: (raw: Socket) => void): Promise<number> {
  if (way === 'vc.stream()') {
    const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) =>
      accepted(vc.stream() as unknown as Socket),
    )
    closing.push(() => listener.close())
    return Number(new URL(listener.addresses[0]).port)
  }
  const one = netOf(way).createServer(accepted as never)
  closing.push(() => one.close())
  await once(one.listen(0, '127.0.0.1'), 'listening')
  return (one.address() as AddressInfo).port
}
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const echoed = async (secure: tls.TLSSocket, text = 'hello') => {
  secure.write(text)
  let seen = ''
  while (seen.length < text.length) seen += String((await once(secure, 'data'))[0])
  return seen
}

describe.each(ways)('over %s', (way) => {
  test('started inside a pipe() that then ends and pauses the socket', async () => {
    const raw = await dial(way, port)
    const parser = new Stream() as Stream & {
      write: (b: Buffer) => boolean
      end: () => void
      writable: boolean
    }
    parser.writable = true
    const started = new Promise<tls.TLSSocket>((resolve) => {
      parser.write = () => {
        resolve(tls.connect({ socket: raw, ...client }))
        parser.end()
        return true
      }
    })
    parser.end = () => parser.emit('close')
    raw.pipe(parser as never)
    raw.write('start')
    const secure = await started
    expect(await echoed(secure)).toBe('hello')
    secure.destroy()
  })

  test('listeners of the plain socket see nothing of what is encrypted, and cannot stop it', async () => {
    const raw = await dial(way, port)
    const plain: string[] = []
    raw.on('data', (bytes) => plain.push(String(bytes)))
    raw.on('end', () => plain.push('end')).on('finish', () => plain.push('finish'))
    raw.write('start')
    await once(raw, 'data')
    const secure = tls.connect({ socket: raw, ...client })
    raw.pause()
    expect(await echoed(secure, 'secret')).toBe('secret')
    raw.resume()
    expect(await echoed(secure, 'secret')).toBe('secret')
    secure.end()
    await once(secure, 'close')
    expect(plain).toEqual(['5 bytes'])
  })

  // The names fill what the stream holds, and what waits below it.
  test.each([0, 200])('a server gets what came before it was TLS, with %i names', async (names) => {
    const plain: number[] = []
    const to = await listen(way, (raw) => {
      raw.on('error', () => {})
      raw.once('readable', () => {
        plain.push(raw.readableLength)
        const secure = new tls.TLSSocket(raw, { isServer: true, cert, key })
        secure.on('error', () => {}).pipe(secure)
      })
    })
    const ALPNProtocols = Array.from({ length: names }, (_, i) => String(i).padEnd(255, '.'))
    const secure = tls.connect(to, '127.0.0.1', { ...client, ALPNProtocols })
    expect(await echoed(secure, 'y'.repeat(100_000))).toBe('y'.repeat(100_000))
    expect(plain[0]).toBeGreaterThan(0)
    secure.destroy()
  })

  test('what was written and read before comes first', async () => {
    const raw = await dial(way, port)
    raw.pause()
    for (const text of ['st', 'ar', 't']) raw.write(text)
    await once(raw, 'readable')
    expect(String(raw.read())).toBe('5 bytes')
    expect(await echoed(tls.connect({ socket: raw, ...client }).once('end', () => {}))).toBe(
      'hello',
    )
    raw.destroy()
  })

  test('addresses, ports, counters and timeouts', async () => {
    const raw = await dial(way, securePort)
    const secure = tls.connect({ socket: raw, ...client })
    await once(secure, 'secureConnect')
    for (const name of [
      'remoteAddress',
      'remotePort',
      'remoteFamily',
      'localAddress',
      'localPort',
      'localFamily',
    ] as const) {
      expect([name, secure[name]]).toEqual([name, raw[name]])
      expect(raw[name]).toBeDefined()
    }
    expect(secure.address()).toEqual(raw.address())
    expect(secure.setNoDelay(true)).toBe(secure)
    expect(secure.setKeepAlive(true, 5000)).toBe(secure)
    await echoed(secure, 'x'.repeat(5000))
    expect(raw.bytesRead).toBeGreaterThan(5000)
    expect(raw.bytesWritten).toBeGreaterThan(5000)
    raw.setTimeout(20)
    await once(raw, 'timeout')
    secure.destroy()
    await once(raw, 'close')
  })

  test('megabytes in both directions with a slow reader', async () => {
    const secure = tls.connect({ socket: await dial(way, securePort), ...client })
    const bytes = Buffer.alloc(8 << 20, 'abcdefg')
    secure.end(bytes)
    const seen: Buffer[] = []
    for await (const chunk of secure) {
      seen.push(chunk as Buffer)
      if (seen.length % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(Buffer.concat(seen).equals(bytes)).toBe(true)
  })

  // Asked for while it reads, TLS writes its own message together with the empty one of Node.
  test('a renegotiation, and another in which the other side destroys', async () => {
    const sockets: tls.TLSSocket[] = []
    const old = tls.createServer({ cert, key, maxVersion: 'TLSv1.2' }, (s) => {
      sockets.push(s.on('error', () => {}))
      s.pipe(s)
    })
    await once(old.listen(0, '127.0.0.1'), 'listening')
    const raw = await dial(way, (old.address() as AddressInfo).port)
    const secure = tls.connect({ socket: raw, ...client })
    await once(secure, 'secureConnect')
    const log: string[] = []
    for (const event of ['end', 'finish', 'error']) secure.on(event, () => log.push(event))
    secure.write('hello')
    await new Promise<void>((resolve, reject) => {
      secure.once('data', () => {
        secure.renegotiate({}, (error) => (error ? reject(error) : resolve()))
      })
    })
    expect(await echoed(secure)).toBe('hello')
    secure.renegotiate({}, () => log.push('negotiated'))
    sockets[0].destroy()
    const [hadError] = (await once(secure, 'close')) as [boolean]
    expect([...log, hadError]).toEqual(['end', 'finish', false])
    old.close()
  })

  test('TLS inside TLS', async () => {
    const inner = tls.createServer({ cert, key }, (s) => {
      const second = new tls.TLSSocket(s, { isServer: true, cert, key })
      second.on('error', () => {}).pipe(second)
    })
    await once(inner.listen(0, '127.0.0.1'), 'listening')
    const outer = tls.connect({
      socket: await dial(way, (inner.address() as AddressInfo).port),
      ...client,
    })
    const secure = tls.connect({ socket: outer, ...client })
    expect(await echoed(secure)).toBe('hello')
    secure.destroy()
    inner.close()
  })
})

const closed = (s: Socket) => new Promise((resolve) => s.once('close', resolve))

describe.each(nets)('a socket of %s that is not connected yet', (way) => {
  const net = netOf(way)
  const events = (raw: Socket, secure: tls.TLSSocket) => {
    const log: string[] = []
    for (const [name, s] of [
      ['raw', raw],
      ['tls', secure],
    ] as const) {
      for (const event of ['connect', 'secureConnect', 'close'])
        s.on(event, () => log.push(`${name} ${event}`))
      s.on('error', (e: NodeJS.ErrnoException) => log.push(`${name} ${e.code}`))
    }
    return log
  }

  test.each(['connecting', 'to be connected', 'by name'])('%s', async (how) => {
    const raw =
      how === 'to be connected'
        ? new net.Socket()
        : net.connect(securePort, how === 'by name' ? 'localhost' : '127.0.0.1')
    const secure = tls.connect({ socket: raw, ...client })
    const log = events(raw, secure)
    if (how === 'to be connected') raw.connect(securePort, '127.0.0.1')
    secure.write('early ')
    await once(secure, 'secureConnect')
    expect(secure.connecting).toBe(false)
    // Node's own loses it for a socket that had not begun to connect.
    if (way !== 'node:net' || how !== 'to be connected') expect(secure.remotePort).toBe(securePort)
    expect(await once(secure, 'data').then(([bytes]) => String(bytes))).toBe('early ')
    secure.end()
    await Promise.all([closed(secure), closed(raw)])
    // Node's own wrapper around a socket that had not begun to connect turns the last two.
    const ends = ['raw close', 'tls close']
    const inOrder = way !== 'node:net' || how !== 'to be connected'
    expect(log).toEqual([
      'tls connect',
      'raw connect',
      'tls secureConnect',
      ...(inOrder ? ends : ends.reverse()),
    ])
  })

  test('and never will be', async () => {
    const raw = net.connect(1, '127.0.0.1')
    const secure = tls.connect({ socket: raw, ...client })
    const log = events(raw, secure)
    await closed(secure)
    expect(log).toEqual(['tls ECONNREFUSED', 'raw ECONNREFUSED', 'tls close', 'raw close'])
  })

  test('and is destroyed before', async () => {
    const raw = new net.Socket()
    const secure = tls.connect({ socket: raw, ...client })
    const log = events(raw, secure)
    secure.destroy()
    await once(secure, 'close')
    expect(raw.destroyed).toBe(true)
    expect(log).toEqual(['raw close', 'tls close'])
  })
})

describe.each(nets)('a process with TLS over %s ends by itself', (way) => {
  const program = (code: string) => `
    import net from '${way}'; import https from 'node:https'; import tls from 'node:tls'
    const client = { rejectUnauthorized: false }; ${code}`

  test('an unref() of the TLS socket', async () => {
    await runChild(
      program(`
      const secure = tls.connect({ socket: net.connect(${securePort}, '127.0.0.1'), ...client }, () => secure.unref())`),
    )
  })

  test('an https agent that keeps its connection', async () => {
    const https = await import('node:https')
    const web = https.createServer({ cert, key, keepAlive: true }, (_, response) =>
      response.end('ok'),
    )
    web.keepAliveTimeout = 60_000
    await once(web.listen(0, '127.0.0.1'), 'listening')
    await runChild(
      program(`
      class Agent extends https.Agent {
        createConnection(o) { return tls.connect({ ...o, socket: net.connect(o.port, o.host), ...client }) }
      }
      const agent = new Agent({ keepAlive: true })
      https.get({ port: ${(web.address() as AddressInfo).port}, host: '127.0.0.1', agent }, (r) => r.resume())`),
    )
    web.closeAllConnections()
    web.close()
  })
})
