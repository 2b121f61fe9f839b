import { Duplex, type DuplexOptions } from 'node:stream'
import type { BlockList, OnReadOpts } from 'node:net'
import { errno } from '../errors.js'
import { nextTick } from '../globals.js'
import type { SocketOptions } from '../socket-options.js'
import { keepAliveOf } from '../stream-support.js'
import { duplexOptions, kLink, kMakeLink, VCStream, type VCStreamOptions } from '../stream.js'
import type { VConnection } from '../vconnection.js'
import { checkInteger, formOf, type Options } from './arguments.js'
import { startConnect } from './connect.js'
import { checkDescriptor } from './descriptor.js'
import { openDescriptor } from './engine.js'
import { connectError, invalidType, invalidValue } from './errors.js'
import { SocketLink, type Owner } from './socket-link.js'

interface NetSocketOptions extends VCStreamOptions {
  fd?: number
  readable?: boolean
  writable?: boolean
  onread?: OnReadOpts
  noDelay?: boolean
  keepAlive?: boolean
  keepAliveInitialDelay?: number
  blockList?: BlockList
}

/** What a server gives its sockets. */
export interface AcceptSettings {
  duplex: DuplexOptions
  wishes: SocketOptions | undefined
}

/** The sockets of netvc/net: net.Socket on the engine of this thread. */
export class NetSocket extends VCStream {
  declare [kLink]: SocketLink
  declare server: unknown
  /** Those that connecting has tried, as `address:port`. */
  declare autoSelectFamilyAttemptedAddresses: string[] | undefined

  /** ready: what Duplex takes, of a server that has checked it. */
  constructor(options?: unknown, ready?: DuplexOptions) {
    const used = ready === undefined ? optionsOf(options) : undefined
    super(undefined, ready ?? streamOptions(used!))
    this.server = undefined
    this.autoSelectFamilyAttemptedAddresses = undefined
    if (used !== undefined) prepare(this, used)
  }

  override [kMakeLink](): SocketLink {
    return new SocketLink(this)
  }

  connect(...args: unknown[]): this {
    const [options, callback] = formOf(args)
    if (this.destroyed) {
      if (this[kLink].signal?.aborted) return this
      revive(this)
    }
    const { vc, expected } = this[kLink]
    if (vc !== undefined || expected) connectTwice(this, options, vc !== undefined)
    else startConnect(this, options, callback)
    return this
  }

  override pause(): this {
    const link = this[kLink]
    if (link.onread !== undefined) {
      link.wanted = false
      link.settle()
    }
    return super.pause()
  }

  override resume(): this {
    const link = this[kLink]
    if (link.onread !== undefined && link.vc !== undefined && !link.wanted) link.read()
    return super.resume()
  }

  /** Where the buffer of onread has what was read, this only reads on. */
  override read(n?: number): unknown {
    const link = this[kLink]
    if (link.onread !== undefined && link.vc !== undefined && !link.wanted) link.read()
    return super.read(n)
  }

  /** Of one connection: a socket that connects again keeps the thread alive again, as by Node. */
  override unref(): this {
    if (this[kLink].isOpen) return super.unref()
    return this.once('connect', () => this.unref())
  }
  override ref(): this {
    if (this[kLink].isOpen) return super.ref()
    return this.once('connect', () => this.ref())
  }

  /** As connecting; net.Socket has it for old programs. */
  get _connecting(): boolean {
    return this.connecting
  }

  /** IP_TOS or IPV6_TCLASS, 0 to 255; now, or when it is connected. */
  setTypeOfService(tos: number): this {
    if (Number.isNaN(tos)) throw invalidType('tos', 'of type number', tos)
    checkInteger(tos, 'tos', 0, 255)
    this[kLink].option({ tos })
    return this
  }
  getTypeOfService(): number {
    const { vc, wishes } = this[kLink]
    return vc?.socketOptions()?.tos ?? wishes?.tos ?? 0
  }
}

function optionsOf(options: unknown): NetSocketOptions {
  if (typeof options === 'number') return { fd: options }
  const used = { ...(options as NetSocketOptions | undefined) }
  for (const name of ['objectMode', 'readableObjectMode', 'writableObjectMode'] as const) {
    if ((used as Options)[name]) throw invalidValue(`options.${name}`, true, 'is not supported')
  }
  if (used.fd !== undefined) checkDescriptor(used.fd)
  return used
}

function streamOptions(options: NetSocketOptions): DuplexOptions {
  const { readable, writable, highWaterMark, readableHighWaterMark, writableHighWaterMark } =
    options
  const { allowHalfOpen, signal } = options
  return duplexOptions({
    allowHalfOpen,
    ...(readable !== undefined && { readable }),
    ...(writable !== undefined && { writable }),
    ...(highWaterMark !== undefined && { highWaterMark }),
    ...(readableHighWaterMark !== undefined && { readableHighWaterMark }),
    ...(writableHighWaterMark !== undefined && { writableHighWaterMark }),
    ...(signal !== undefined && { signal }),
  })
}

function prepare(socket: NetSocket, options: NetSocketOptions): void {
  const link = socket[kLink]
  const { onread, fd, noDelay, keepAlive, keepAliveInitialDelay, blockList, signal } = options
  link.blockList = blockList
  link.signal = signal
  if (noDelay) link.wishes = { noDelay: true }
  if (keepAlive) {
    link.wishes = { ...link.wishes, keepAlive: keepAliveOf(true, keepAliveInitialDelay) }
  }
  if (isOnRead(onread)) link.onread = onread
  if (fd === undefined) return
  link.expect(false)
  openDescriptor(fd, {
    resolve: (vc) => {
      if (socket.destroyed) {
        vc.doIoClose()
        return
      }
      link.attach(vc)
      link.runDelayed()
      link.startReading()
    },
    reject: (error) => socket.destroy(error),
  })
}

function isOnRead(onread: OnReadOpts | undefined): onread is OnReadOpts {
  return (
    typeof onread === 'object' &&
    onread !== null &&
    (onread.buffer instanceof Uint8Array || typeof onread.buffer === 'function') &&
    typeof onread.callback === 'function'
  )
}

function connectTwice(socket: NetSocket, options: Options, connected: boolean): void {
  const {
    path,
    host = '127.0.0.1',
    port,
  } = options as { path?: string; host?: string; port?: number }
  const to = { address: path ?? host, port: path === undefined ? port : undefined }
  const error = connectError(connected ? errno.EISCONN : errno.EALREADY, to)
  nextTick(() => socket.destroy(error))
}

/** A socket that was destroyed connects once more. */
function revive(socket: NetSocket): void {
  const { onread, blockList, wishes } = socket[kLink]
  const link = socket[kMakeLink]()
  Object.assign(link, { onread, blockList, wishes })
  socket[kLink] = link
  ;(socket as unknown as { _undestroy(): void })._undestroy()
}

/** A socket that a server has accepted. */
export function acceptedSocket(
  vc: VConnection,
  { duplex, wishes }: AcceptSettings,
  owner: Owner,
): NetSocket {
  const socket = new NetSocket(undefined, duplex)
  socket.server = owner
  const link = socket[kLink]
  link.owner = owner
  link.attach(vc)
  link.wishes = wishes // it has them already; they are for when it connects itself
  return socket
}

/** For classes that are made as before there was `class`: Socket.call(this, options). */
export function initialise(socket: NetSocket, options: unknown): void {
  const used = optionsOf(options)
  Duplex.call(socket, streamOptions(used))
  socket[kLink] = new SocketLink(socket)
  socket.timeout = undefined
  prepare(socket, used)
}
