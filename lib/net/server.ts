import { AsyncResource } from 'node:async_hooks'
import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { AddressInfo, BlockList } from 'node:net'
import { errno } from '../errors.js'
import { NativePromise, nextTick } from '../globals.js'
import type { Listener } from '../listener.js'
import { duplexOptions, kLink } from '../stream.js'
import { tell } from '../loop.js'
import { familyOf, keepAliveOf } from '../stream-support.js'
import { codedError } from '../stream-errors.js'
import type { VConnection } from '../vconnection.js'
import { checkFunction, isGiven, type Options } from './arguments.js'
import { discount, openListener, type Endpoint, type ListenHow } from './engine.js'
import { invalidType, listenError } from './errors.js'
import { startListening } from './listen.js'
import { acceptedSocket, type AcceptSettings, type NetSocket } from './socket.js'
import type { Owner } from './socket-link.js'

/** What the sockets of a server have in common. */
interface SocketSettings extends AcceptSettings {
  pause: boolean
  noDelay: boolean
  keepAlive: boolean
  keepAliveIdle: number
  blockList: BlockList | undefined
}

interface State {
  settings: SocketSettings
  listener: Listener | undefined
  /** While a name is looked up: the listen() that waits for it. */
  attempt: object | undefined
  path: string | undefined
  isRef: boolean
  counted: boolean
}

const accepted = channel('net.server.socket')

/** @internal */
export const kServer = Symbol('server')

/** The servers of netvc/net: net.Server on the engine of this thread. */
export class NetServer extends EventEmitter implements Owner {
  declare [kServer]: State
  /** Connections that are open. */
  declare _connections: number
  /** What it listens on, as it was wanted: cluster names it so. */
  declare _connectionKey: string | undefined
  declare maxConnections: number | undefined
  declare allowHalfOpen: boolean
  declare pauseOnConnect: boolean
  declare noDelay: boolean
  declare keepAlive: boolean
  declare keepAliveInitialDelay: number
  declare highWaterMark: number | undefined
  declare dropMaxConnection: boolean | undefined

  constructor(options?: unknown, handler?: unknown) {
    super()
    prepare(this, options, handler)
  }

  listen(...args: unknown[]): this {
    const state = this[kServer]
    if (state.listener || state.attempt) {
      const text = 'Listen method has been called more than once without closing.'
      throw codedError('ERR_SERVER_ALREADY_LISTEN', text)
    }
    startListening(this, args)
    return this
  }

  /** @internal Listens on one of these, the first that the system has. */
  open(at: readonly Endpoint[], how: Omit<ListenHow, 'noDelay' | 'keepAlive'>): boolean {
    const state = this[kServer]
    state.attempt = undefined
    const { noDelay, keepAlive, keepAliveIdle } = state.settings
    const full = { ...how, noDelay, keepAlive, ...(keepAliveIdle > 0 && { keepAliveIdle }) }
    const context = new AsyncResource('NETVC_SERVER') // of listen(), for 'connection'
    let opened: Listener | number = 0
    let tried = at[0]
    for (const endpoint of at) {
      tried = endpoint
      opened = openListener(endpoint, full, (vc) => {
        context.runInAsyncScope(tell, undefined, () => {
          this.#accept(vc)
        })
      })
      if (typeof opened !== 'number' || !absent.has(opened)) break
    }
    if (typeof opened === 'number') {
      // A missing folder is told as libuv tells it.
      const n = tried.port === undefined && opened === -errno.ENOENT ? -errno.EACCES : opened
      const error = listenError(n, how.fd === undefined ? withPort(tried) : {})
      nextTick(() => this.emit('error', error))
      return false
    }
    state.listener = opened
    const family = tried.port === undefined ? -1 : tried.address.includes(':') ? 6 : 4
    this._connectionKey = `${String(family)}:${tried.address}:${String(tried.port ?? -1)}`
    state.path = tried.port === undefined ? tried.address : undefined
    this.#count()
    const listener = opened
    nextTick(() => {
      if (state.listener === listener) this.emit('listening')
    })
    return true
  }

  #accept(vc: VConnection): void {
    const { settings } = this[kServer]
    const { blockList } = settings
    if (blockList && isBlocked(blockList, vc)) {
      vc.doIoClose()
      return
    }
    const { maxConnections } = this
    if (isGiven(maxConnections) && this._connections >= maxConnections) {
      const addresses = addressesOf(vc)
      vc.doIoClose()
      this.emit('drop', addresses)
      return
    }
    this._connections++
    const socket = acceptedSocket(vc, settings, this)
    if (settings.pause) socket.pause()
    socket[kLink].startReading()
    this.emit('connection', socket)
    if (accepted.hasSubscribers) accepted.publish({ socket })
  }

  /** @internal */
  connectionEnded(): void {
    this._connections--
    this.#closedIfDone()
  }

  #closedIfDone(): void {
    if (this[kServer].listener || this._connections > 0) return
    // Also when it listens again by then: close() has its answer.
    nextTick(() => this.emit('close'))
  }

  close(callback?: unknown): this {
    const state = this[kServer]
    state.attempt = undefined
    if (typeof callback === 'function') {
      const told = callback as (error?: Error) => void
      if (state.listener) this.once('close', told)
      else {
        this.once('close', () => {
          told(codedError('ERR_SERVER_NOT_RUNNING', 'Server is not running.'))
        })
      }
    }
    const { listener } = state
    state.listener = undefined
    if (listener) {
      const { counted } = state
      state.counted = false
      void listener.close().then(() => {
        if (counted) discount(-1)
      })
    }
    this.#closedIfDone()
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.listening) return
    await new NativePromise<void>((resolve, reject) => {
      this.close((error?: Error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  }

  get listening(): boolean {
    return this[kServer].listener !== undefined
  }

  address(): AddressInfo | string | null {
    const { listener, path } = this[kServer]
    if (!listener) return null
    if (path !== undefined) return path
    return parseUrl(listener.addresses[0])
  }

  getConnections(callback: unknown): this {
    checkFunction(callback, 'callback')
    nextTick(callback, null, this._connections)
    return this
  }

  unref(): this {
    this[kServer].isRef = false
    this.#count()
    return this
  }
  ref(): this {
    this[kServer].isRef = true
    this.#count()
    return this
  }

  #count(): void {
    const state = this[kServer]
    const without = state.listener !== undefined && !state.isRef
    if (without === state.counted) return
    state.counted = without
    discount(without ? 1 : -1)
  }

  /** A listener of 'connection' whose promise rejects costs its connection, not the process. */
  [Symbol.for('nodejs.rejection')](error: Error, event: string, ...args: unknown[]): void {
    if (event === 'connection') (args[0] as NetSocket).destroy(error)
    else this.emit('error', error)
  }
}

/** As errors of net name it: a path has port -1. */
const withPort = ({ address, port = -1 }: Endpoint) => ({ address, port })

/** The system has no such addresses: another family may do. */
const absent = new Set<number>()
for (const n of [22, 97, 99]) absent.add(-n)

function isBlocked(list: BlockList, vc: VConnection): boolean {
  const family = familyOf(vc.remotePort ? vc.remoteHost : undefined)
  return family !== undefined && list.check(vc.remoteHost!, family === 'IPv6' ? 'ipv6' : 'ipv4')
}

function addressesOf(vc: VConnection): object | undefined {
  if (!vc.remotePort) return undefined
  return {
    localAddress: vc.localHost,
    localPort: vc.localPort,
    localFamily: familyOf(vc.localHost),
    remoteAddress: vc.remoteHost,
    remotePort: vc.remotePort,
    remoteFamily: familyOf(vc.remoteHost),
  }
}

function parseUrl(url: string): AddressInfo | string {
  const match = /^tcp:\/\/(?:\[(.*)\]|(.*)):(\d+)$/.exec(url)
  if (!match) return url.replace(/^unix:\/\//, '')
  const address = match[1] ?? match[2] ?? ''
  return { address, family: familyOf(address)!, port: Number(match[3]) }
}

/** @internal Of a server that new, or a call without it, makes. */
export function prepare(server: NetServer, options: unknown, handler: unknown): void {
  let given = options as Options
  if (typeof options === 'function') {
    given = {}
    handler = options
  } else if (!isGiven(options)) {
    given = {}
  } else if (typeof options !== 'object') {
    throw invalidType('options', 'of type object', options)
  }
  const { allowHalfOpen, highWaterMark, pauseOnConnect, noDelay, keepAlive } = given
  const delay = Math.trunc(Number(given['keepAliveInitialDelay'] ?? 0) / 1000) || 0
  server._connections = 0
  server._connectionKey = undefined
  server.maxConnections = undefined
  server.allowHalfOpen = Boolean(allowHalfOpen)
  server.pauseOnConnect = Boolean(pauseOnConnect)
  server.noDelay = Boolean(noDelay)
  server.keepAlive = Boolean(keepAlive)
  server.keepAliveInitialDelay = delay
  server.highWaterMark = highWaterMark as number | undefined
  server[kServer] = {
    settings: {
      duplex: duplexOptions({
        allowHalfOpen: Boolean(allowHalfOpen),
        ...(highWaterMark !== undefined && { highWaterMark: highWaterMark as number }),
      }),
      wishes: {
        ...(noDelay ? { noDelay: true } : {}),
        ...(keepAlive ? { keepAlive: keepAliveOf(true, delay * 1000) } : {}),
      },
      pause: Boolean(pauseOnConnect),
      noDelay: Boolean(noDelay),
      keepAlive: Boolean(keepAlive),
      keepAliveIdle: Math.min(Math.max(delay, 0), 32767),
      blockList: given['blockList'] as BlockList | undefined,
    },
    listener: undefined,
    attempt: undefined,
    path: undefined,
    isRef: true,
    counted: false,
  }
  if (typeof handler === 'function') server.on('connection', handler as () => void)
}
