import { Duplex, type DuplexOptions } from 'node:stream'
import { nextTick } from './globals.js'
import { detach } from './stream-detach.js'
import { codedError } from './stream-errors.js'
import { takeOver } from './stream-handle.js'
import { StreamLink, type Callback, type Chunk, type Piece } from './stream-link.js'
import {
  bufferedBytes,
  checkTimeout,
  closeSoon,
  familyOf,
  keepAliveOf,
  type StreamAddress,
} from './stream-support.js'
import { IdleTimer } from './stream-timeout.js'
import type { VConnection } from './vconnection.js'

export interface VCStreamOptions {
  /** false, the default: the stream ends its own side when the peer has ended its. */
  allowHalfOpen?: boolean
  /** Bytes that it buffers in each direction, beside the connection's own. Default: Node's. */
  highWaterMark?: number
  readableHighWaterMark?: number
  writableHighWaterMark?: number
  /** Destroys the stream. */
  signal?: AbortSignal
}

type Told = (error: Error | null | undefined) => void

const fixed = { emitClose: false, autoDestroy: true, decodeStrings: false } as const
const defaults: DuplexOptions = { ...fixed, allowHalfOpen: false }
const maxTimeout = 0x7fffffff

/** @internal */
export const kLink = Symbol('link')
/** @internal */
export const kMakeLink = Symbol('makeLink')

/** @internal What is passed to Duplex. */
export function duplexOptions(options: VCStreamOptions | undefined): DuplexOptions {
  return options === undefined
    ? defaults
    : { ...options, ...fixed, allowHalfOpen: Boolean(options.allowHalfOpen) }
}

/** The peer has ended, and with it this side. */
function refuseWrite(stream: Duplex, told: Told | undefined): boolean {
  const text = 'This socket has been ended by the other party'
  const error = Object.assign(new Error(text), { code: 'EPIPE' })
  if (typeof told === 'function') nextTick(told, error)
  stream.destroy(error)
  return false
}

/**
 * A connection as a stream of Node, with what net.Socket has beside: timeouts, addresses, counters,
 * ref and unref. Made by VConnection.stream(). It has both directions of the connection.
 *
 * A readable side that nobody empties stops reading: bytes then wait in one MIOBuffer up to its
 * water mark, and behind that at the peer. Bytes that were written are in the engine's hands: the
 * callback of a write comes while less than vc.writableHighWaterMark waits there.
 */
export class VCStream extends Duplex {
  /** @internal */ declare [kLink]: StreamLink
  /** Milliseconds, as setTimeout() was given; undefined before. */
  declare timeout: number | undefined

  /** @internal ready: the options as Duplex takes them. */
  constructor(options?: VCStreamOptions, ready?: DuplexOptions) {
    super(ready ?? duplexOptions(options))
    this[kLink] = this[kMakeLink]()
    this.timeout = undefined
  }

  /** @internal */
  [kMakeLink](): StreamLink {
    return new StreamLink(this)
  }

  /** The connection; undefined before there is one. Its operations are the stream's. */
  get vc(): VConnection | undefined {
    return this[kLink].vc
  }

  override _read(): void {
    const link = this[kLink]
    if (link.upper === undefined) link.read()
  }

  override resume(): this {
    return takeOver(this) ? this : super.resume()
  }

  override write(chunk: unknown, callback?: Told): boolean
  override write(chunk: unknown, encoding: BufferEncoding, callback?: Told): boolean
  override write(chunk: unknown, encoding?: BufferEncoding | Told, callback?: Told): boolean {
    if (this.writableEnded && this.readableEnded && !this.allowHalfOpen) {
      return refuseWrite(this, typeof encoding === 'function' ? encoding : callback)
    }
    return super.write(chunk, encoding as BufferEncoding, callback)
  }

  override _write(chunk: Chunk, encoding: BufferEncoding, callback: Callback): void {
    this[kLink].write(chunk, encoding, callback)
  }

  override _writev(chunks: Piece[], callback: Callback): void {
    this[kLink].writev(chunks, callback)
  }

  override _final(callback: Callback): void {
    this[kLink].final(callback)
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    const link = this[kLink] as StreamLink | undefined
    if (link) {
      link.destroy(error, callback)
      return
    }
    // By a signal that was aborted before: Duplex's constructor has not returned.
    callback(error)
    closeSoon(this)
  }

  /**
   * Gives the connection back and destroys the stream without closing it: for tunnel(), or another
   * stream(). What was read and not consumed comes again there, behind `unread`: bytes that were
   * consumed and are to be read once more, as the head of an upgrade. What was written leaves.
   * Throws ERR_VC_CLOSED when the peer has ended, or the stream; ERR_BUFFER_BUSY with net threads.
   */
  detach(unread?: Uint8Array): VConnection {
    return detach(this[kLink], unread)
  }

  /** Ends the writing side, and destroys the stream when everything has left. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  /** Closes the connection with RST and destroys the stream. What is unsent is lost. */
  resetAndDestroy(): this {
    const { vc, connecting } = this[kLink]
    if (this.destroyed || (vc === undefined && !connecting)) {
      this.destroy(codedError('ERR_SOCKET_CLOSED', 'Socket is closed'))
    } else if (vc === undefined) {
      this.once('connect', () => this.resetAndDestroy())
    } else if (this.remoteFamily === undefined) {
      const text = 'This handle type cannot be sent'
      this.destroy(codedError('ERR_INVALID_HANDLE_TYPE', text, TypeError))
    } else {
      this[kLink].reset = true
      this.destroy()
    }
    return this
  }

  /**
   * 'timeout' is emitted when no byte has moved for so many milliseconds, in either direction; once,
   * until the next byte. Nothing is ended by it. 0: never. callback listens, once.
   */
  setTimeout(ms: number, callback?: () => void): this {
    if (this.destroyed) return this
    checkTimeout(ms, callback)
    const link = this[kLink]
    this.timeout = ms
    const used = Math.min(ms, maxTimeout)
    if (link.idle) link.idle.set(used)
    else if (used > 0) link.idle = new IdleTimer(this, used)
    if (callback === undefined) return this
    return ms === 0 ? this.removeListener('timeout', callback) : this.once('timeout', callback)
  }

  /** Sends small messages at once (true), or joins them (Nagle). */
  setNoDelay(on?: boolean): this {
    const noDelay = on === undefined || Boolean(on)
    this[kLink].option({ noDelay })
    return this
  }

  /** Lets the kernel probe the connection after so many milliseconds of silence; 0: as it is. */
  setKeepAlive(on?: boolean, initialDelay?: number): this {
    const keepAlive = keepAliveOf(Boolean(on), initialDelay)
    this[kLink].option({ keepAlive })
    return this
  }

  /** The connection does not keep the thread alive any more. */
  unref(): this {
    this[kLink].setRef(false)
    return this
  }
  ref(): this {
    this[kLink].setRef(true)
    return this
  }

  /** The address that it is bound to; {} for unix sockets, and when it was gone before it was asked. */
  address(): StreamAddress | Record<string, never> {
    const { localAddress: address, localFamily: family, localPort: port } = this
    return address === undefined ? {} : { address, family: family!, port: port! }
  }
  /** `127.0.0.1`; undefined for a unix socket, and when it was gone before it was asked. */
  get remoteAddress(): string | undefined {
    return this.remotePort === undefined ? undefined : this.vc?.remoteHost
  }
  get remotePort(): number | undefined {
    return this.vc?.remotePort || undefined
  }
  get remoteFamily(): string | undefined {
    return familyOf(this.remoteAddress)
  }
  get localAddress(): string | undefined {
    return this.localPort === undefined ? undefined : this.vc?.localHost
  }
  get localPort(): number | undefined {
    return this.vc?.localPort || undefined
  }
  get localFamily(): string | undefined {
    return familyOf(this.localAddress)
  }

  get bytesRead(): number {
    return this[kLink].bytesIn
  }
  /** With those that wait in the stream. */
  get bytesWritten(): number | undefined {
    const link = this[kLink] as StreamLink | undefined // none when asked of the prototype
    return link && link.bytesOut + link.delayedBytes + bufferedBytes(this)
  }
  /** The same as writableLength. */
  get bufferSize(): number {
    return this.writableLength
  }
  get connecting(): boolean {
    return this[kLink].connecting
  }
  /** There is no connection: not yet, or not any more. */
  get pending(): boolean {
    return this.vc === undefined || this.destroyed
  }
  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening'
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }
}
