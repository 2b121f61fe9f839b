import { once } from 'node:events'
import nodeNet, { type AddressInfo, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import tls, { type TLSSocket } from 'node:tls'
import { Reactor } from 'netvc'
import vcNet from 'netvc/net'
import { cert, key } from './certificate.js'

// One TLS connection from its start to its end, and what one side of it was told meanwhile.

export const sides = ['node:net', 'netvc/net', 'vc.stream()'] as const
export type Side = (typeof sides)[number]
export const roles = ['client', 'server'] as const
export const actors = ['the subject', 'the peer'] as const
export const actions = [
  'end',
  'destroy',
  'destroy(error)',
  'raw end',
  'raw destroy',
  'raw reset',
] as const
export const moments = [
  'before TLS',
  'in the handshake',
  'idle',
  'receiving',
  'sending',
  'writes pending',
] as const
export interface Case {
  role: (typeof roles)[number]
  actor: (typeof actors)[number]
  action: (typeof actions)[number]
  moment: (typeof moments)[number]
  allowHalfOpen: boolean
}

const big = Buffer.alloc(8 << 20, 'x')
const some = Buffer.alloc(100_000, 'y')
const reactor = new Reactor()

/** A server of this kind; its sockets go to the handler. */
async function serve(
  side: Side,
  options: { allowHalfOpen: boolean },
  handler: (raw: Socket) => void,
) {
  if (side === 'vc.stream()') {
    const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) =>
      handler(vc.stream(options) as never),
    )
    const port = Number(new URL(listener.addresses[0]).port)
    return { port, close: () => void listener.close() }
  }
  const net = side === 'netvc/net' ? vcNet : nodeNet
  const server: Server = net.createServer(options, handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() }
}

async function dial(
  side: Side,
  port: number,
  options: { allowHalfOpen: boolean },
): Promise<Socket> {
  if (side === 'vc.stream()') {
    return (await reactor.connect(`tcp://127.0.0.1:${port}`)).stream(options) as never
  }
  const net = side === 'netvc/net' ? vcNet : nodeNet
  const socket = net.connect({ port, host: '127.0.0.1', ...options })
  await once(socket, 'connect')
  return socket
}

interface End {
  raw: Socket
  secure?: TLSSocket
}

const wrap = (raw: Socket, isServer: boolean) =>
  isServer
    ? new tls.TLSSocket(raw, { isServer: true, cert, key })
    : tls.connect({ socket: raw, ca: cert, servername: 'localhost' })

/** The events of a stream, those that repeat once. */
function record(name: string, stream: Duplex, log: string[]): void {
  const tell = (text: string) => void log.push(text)
  stream.once('data', () => tell(`${name} data`))
  for (const event of ['secureConnect', 'secure', 'end', 'finish'])
    stream.on(event, () => tell(`${name} ${event}`))
  stream.on('error', (e: NodeJS.ErrnoException) =>
    tell(`${name} error ${e.code ?? ''} ${e.syscall ?? e.message}`),
  )
  stream.on('close', (bad: boolean) => tell(`${name} close ${String(bad)}`))
}

const flags = (s: Duplex) =>
  [
    s.destroyed && 'destroyed',
    s.closed && 'closed',
    s.readableEnded && 'readableEnded',
    s.writableEnded && 'writableEnded',
    s.writableFinished && 'writableFinished',
    s.readable && 'readable',
    s.writable && 'writable',
    s.readableAborted && 'readableAborted',
    s.errored && `errored ${(s.errored as NodeJS.ErrnoException).code ?? s.errored.message}`,
  ]
    .filter(Boolean)
    .join(' ')

function act({ raw, secure }: End, action: Case['action']): void {
  const upper = secure ?? raw
  if (action === 'end') upper.end()
  else if (action === 'destroy') upper.destroy()
  else if (action === 'destroy(error)') upper.destroy(new Error('own'))
  else if (action === 'raw end') raw.end()
  else if (action === 'raw destroy') raw.destroy()
  else raw.resetAndDestroy()
}

export async function play(side: Side, c: Case): Promise<string[]> {
  const log: string[] = []
  const options = { allowHalfOpen: c.allowHalfOpen }
  const accepted = deferred<Socket>()
  const server = await serve(c.role === 'server' ? side : 'node:net', options, (raw) =>
    accepted.resolve(raw),
  )
  const dialed = await dial(c.role === 'client' ? side : 'node:net', server.port, options)
  const both = { client: dialed, server: await accepted.promise }
  server.close()
  const subject: End = { raw: both[c.role] }
  const peer: End = { raw: both[c.role === 'client' ? 'server' : 'client'] }
  peer.raw.on('error', () => {})
  peer.raw.on('end', () => peer.raw.end()) // without TLS; with it nobody hears this
  record('raw', subject.raw, log)
  const writes: string[] = []
  const over = [
    once(subject.raw, 'close').catch(() => 0),
    new Promise((r) => peer.raw.once('close', r)),
  ]
  const startSubject = () => {
    subject.secure = wrap(subject.raw, c.role === 'server')
    record('tls', subject.secure, log)
    if (c.moment !== 'writes pending') subject.secure.resume()
    over.push(new Promise((r) => subject.secure!.once('close', r)))
    subject.secure.on('end', () => c.allowHalfOpen && subject.secure!.end())
  }
  const startPeer = () => {
    peer.secure = wrap(peer.raw, c.role === 'client')
    peer.secure.on('error', () => {})
    peer.secure.on('end', () => c.allowHalfOpen && peer.secure!.end())
    over.push(new Promise((r) => peer.secure!.once('close', r)))
  }
  const doer = c.actor === 'the subject' ? subject : peer
  if (c.moment === 'before TLS') {
    peer.raw.resume()
    if (doer === peer) {
      act(peer, c.action)
      await new Promise((r) => peer.raw.once(c.action.endsWith('end') ? 'finish' : 'close', r))
    }
    startSubject()
    if (doer === subject) act(subject, c.action)
  } else if (c.moment === 'in the handshake') {
    startSubject()
    if (c.role === 'client') {
      await once(peer.raw.resume(), 'data')
    } else {
      peer.raw.resume().write(Buffer.from('160301020001', 'hex')) // the first bytes of a ClientHello
      while (subject.raw.bytesRead === 0) await new Promise((r) => setImmediate(r))
    }
    act(doer, c.action)
  } else {
    startSubject()
    startPeer()
    const client = c.role === 'client' ? subject : peer
    let sessions = 0
    const tickets = new Promise<void>((r) =>
      client.secure!.on('session', () => ++sessions === 2 && r()),
    )
    client.secure!.resume()
    await Promise.all([once(subject.secure!, 'secure'), once(peer.secure!, 'secure'), tickets])
    if (c.moment === 'writes pending') client.secure!.pause()
    await new Promise((r) => setImmediate(r))
    if (c.moment === 'idle') peer.secure!.resume()
    if (c.moment === 'receiving') {
      peer.secure!.resume()
      peer.secure!.write(some)
      await once(subject.secure!, 'data')
      await new Promise((r) => setImmediate(r))
    } else if (c.moment === 'sending') {
      subject.secure!.write(some, (e) =>
        writes.push(`write ${(e as { code?: string } | null)?.code ?? 'done'}`),
      )
      await once(peer.secure!.resume(), 'data')
    } else if (c.moment === 'writes pending') {
      for (const n of [1, 2])
        subject.secure!.write(big, (e) =>
          writes.push(`write ${n} ${(e as { code?: string } | null)?.code ?? 'done'}`),
        )
      await new Promise((r) => setTimeout(r, 20))
    }
    act(doer, c.action)
    if (c.moment === 'writes pending') {
      subject.secure!.resume()
      peer.secure!.resume()
    }
  }
  let timer
  const limit = new Promise((r) => (timer = setTimeout(r, 3000, 'limit')))
  if ((await Promise.race([Promise.all(over), limit])) === 'limit') log.push('limit')
  clearTimeout(timer)
  await new Promise((r) => setImmediate(r))
  for (const e of [subject, peer]) {
    e.secure?.destroy()
    e.raw.destroy()
  }
  log.push(...writes)
  log.push(`raw ${flags(subject.raw)}`)
  if (subject.secure) log.push(`tls ${flags(subject.secure)}`)
  return log
}

function deferred<T>() {
  let resolve!: (v: T) => void
  const promise = new Promise<T>((r) => (resolve = r))
  return { promise, resolve }
}
