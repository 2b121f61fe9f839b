import { systemError, wrongType, type NetvcError } from './errors.js'
import { NativePromise } from './globals.js'
import { sizeIndex } from './mio-buffer.js'
import { native } from './native.js'
import { checkOptions } from './options.js'
import { VConnection } from './vconnection.js'

export interface TunnelOptions {
  /** Bytes read at once, at most. Default 64 KiB. */
  blockSize?: number
  /** Unread bytes per direction before its source is not read any more. Default 64 KiB. */
  waterMark?: number
  /** Milliseconds without a byte in either direction until it ends. Default 0, no limit. */
  inactivityTimeout?: number
  /** Milliseconds until it ends, whatever moves. Default 0, no limit. */
  activeTimeout?: number
  /**
   * Milliseconds without a byte, once one direction has ended, until it ends: for a peer that never
   * closes its side. Default 0, no limit.
   */
  halfCloseTimeout?: number
  /**
   * Milliseconds that bytes wait for a peer that takes none, though it may send, until it ends. A
   * quarter late at most. Default 0, no limit.
   */
  stallTimeout?: number
}

/** How a tunnel ended. */
export interface TunnelResult {
  /**
   * `eos`: both directions came to their end. `error`: see error. `closed`: somebody closed a
   * connection, the tunnel, or the reactor. The others: the timeout of that name.
   */
  reason: 'eos' | 'error' | 'closed' | 'inactivity' | 'active' | 'half-close' | 'stall'
  error: NetvcError | undefined
  /** Bytes that left towards b. */
  aToB: number
  /** Bytes that left towards a. */
  bToA: number
}

const reasons = [
  'closed',
  'eos',
  'error',
  'closed',
  'closed',
  'inactivity',
  'active',
  'half-close',
  'stall',
] as const

/** Two connections joined in both directions by native code. Made by {@link tunnel}. */
export class Tunnel {
  /** Resolves, always, when the tunnel has ended and both connections are closed. */
  readonly closed: Promise<TunnelResult>
  readonly a: VConnection
  readonly b: VConnection
  /** Its name at the reactor while native code has it. */
  #id: number | undefined
  #resolve!: (result: TunnelResult) => void

  /** @internal */
  constructor(a: VConnection, b: VConnection) {
    this.a = a
    this.b = b
    this.closed = new NativePromise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** Bytes that have left towards b so far. */
  get aToB(): number {
    return this.#bytes(0)
  }
  /** Bytes that have left towards a so far. */
  get bToA(): number {
    return this.#bytes(1)
  }
  #last: [aToB: number, bToA: number] = [0, 0]

  #bytes(direction: 0 | 1): number {
    if (this.#id === undefined) return this.#last[direction]
    return native.tunnelBytes(this.a.reactor.handle, this.#id, direction)
  }

  /**
   * Ends it now: both connections are closed. Bytes under way are dropped, and a side that misses
   * some of them gets a reset.
   */
  close(): void {
    if (this.#id === undefined) return
    const { a, b } = this
    native.closeTunnel(a.reactor.handle, this.#id, a.slot, a.version, b.slot, b.version)
  }

  /** @internal */
  start(
    id: number,
    sizes: readonly [size: number, mark: number],
    buffers: readonly [a: number, b: number],
    limits: readonly [number, number, number, number],
  ): boolean {
    const { a, b } = this
    this.#id = id
    const ids = [a.slot, a.version, b.slot, b.version] as const
    return native.tunnel(a.reactor.handle, id, ...ids, ...sizes, ...buffers, ...limits) === 1
  }

  /** @internal */
  ended(end: number, errno: number, side: number): void {
    const { aToB, bToA } = this
    this.#last = [aToB, bToA]
    if (this.#id !== undefined) native.freeTunnel(this.a.reactor.handle, this.#id)
    this.#id = undefined
    const reason = reasons[end] ?? 'closed'
    const vc = side === 0 ? this.a : this.b
    const error = reason === 'error' ? systemError(errno, 'tunnel', vc.remoteAddress) : undefined
    this.a.markClosed(error)
    this.b.markClosed(error)
    this.#resolve({ reason, error, aToB, bToA })
  }
}

/**
 * Joins two open connections of one reactor: every byte that one sends goes to the other, without
 * JavaScript, until both directions have ended. Half-close is kept. Their operations are cancelled,
 * and nothing that was looked at is lost: first leaves what was given to write(), then what a read
 * operation has brought and its reader has not consumed (with several readers: the most advanced
 * one), then the rest of the stream. The readers of these buffers belong to the tunnel until it
 * ends. So both `reader.peek(...)` or `borrow()` and `b.write(reader.read())` may come before it.
 */
export function tunnel(a: VConnection, b: VConnection, options?: TunnelOptions): Tunnel {
  if (!(a instanceof VConnection)) throw wrongType('a', 'a VConnection', a)
  if (!(b instanceof VConnection)) throw wrongType('b', 'a VConnection', b)
  checkOptions('tunnel', options)
  for (const vc of [a, b]) {
    vc.assertUsable('tunnel', 3)
  }
  if (a === b || a.reactor !== b.reactor) {
    throw wrongType('b', 'another connection of the same reactor', b)
  }
  const t = new Tunnel(a, b)
  a.reactor.startTunnel(t, options)
  return t
}

/** @internal */
export function tunnelSizes(options: TunnelOptions | undefined): [size: number, mark: number] {
  const { blockSize = 64 * 1024, waterMark = 64 * 1024 } = options ?? {}
  return [sizeIndex(blockSize), waterMark]
}

/** @internal */
export function tunnelLimits(
  options: TunnelOptions | undefined,
): [inactivity: number, active: number, halfClose: number, stall: number] {
  const {
    inactivityTimeout = 0,
    activeTimeout = 0,
    halfCloseTimeout = 0,
    stallTimeout = 0,
  } = options ?? {}
  return [inactivityTimeout, activeTimeout, halfCloseTimeout, stallTimeout]
}
