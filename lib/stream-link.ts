import { AsyncResource } from 'node:async_hooks'
import { smallMessage } from './collect.js'
import { Code, errno, type NetvcError } from './errors.js'
import { VCEvent } from './events.js'
import { MIOBuffer, type IOBufferReader } from './mio-buffer.js'
import { inClosingPhase, tell } from './loop.js'
import { native } from './native.js'
import { expectNotice, ignore } from './notices.js'
import {
  codedError,
  destroyedError,
  streamError,
  systemErrorOf,
  writeError,
} from './stream-errors.js'
import type { UpperHandle } from './stream-handle.js'
import { byteLength, closeLater, closeSoon } from './stream-support.js'
import type { SocketOptions } from './socket-options.js'
import type { IdleTimer } from './stream-timeout.js'
import type { VCStream } from './stream.js'
import type { VConnection } from './vconnection.js'

export type Callback = (error?: Error | null) => void
export type Chunk = Uint8Array | string
export interface Piece {
  chunk: Chunk
  encoding: BufferEncoding
}

/** What joins a stream to its connection: the streams' own state, away from their users. */
export class StreamLink {
  vc: VConnection | undefined
  reader: IOBufferReader | undefined
  connecting = false
  /** A connection is to come: what is written waits for it. */
  expected = false
  /** The readable side has room. */
  wanted = false
  /** Bytes wait in the buffer. */
  held = false
  /** The end was told, maybe with an error; bytes may still be held. */
  over = false
  reset = false
  isRef = true
  /** The reactor was told that this connection does not keep the thread alive. */
  counted = false
  /** What within() restores; there from expect() or attach() on. */
  context: AsyncResource | undefined
  bytesIn = 0
  bytesOut = 0
  /** Bytes that wait for the connection. */
  delayedBytes = 0
  /** What is done first when there is a connection. */
  delayed: (() => void) | undefined
  idle: IdleTimer | undefined
  /** TLS or http2 of Node has taken the stream over: its reads and writes go past the stream. */
  upper: UpperHandle | undefined
  /** The options that were asked for: those of the next connection too. */
  wishes: SocketOptions | undefined
  #delayedFailed: Callback | undefined
  #error: Error | undefined
  /** Why nothing can be written any more. */
  #broken: Error | undefined
  #watch: (() => void) | undefined
  /** Gives up waiting for what was written, or shut down, and answers how to call back. */
  #waiting: ((error: Error | null) => () => void) | undefined

  constructor(readonly stream: VCStream) {}

  /**
   * Runs act as an event of the stream: AsyncLocalStorage holds what it held when the connection was
   * asked for. The engine tells many connections at once, in the context of none. What a listener
   * throws is told in that context too.
   */
  within(act: () => void): void {
    this.context!.runInAsyncScope(tell, undefined, act)
  }

  /** There will be a connection; connecting: it is not established yet. */
  expect(connecting: boolean): void {
    this.context = new AsyncResource('NETVC')
    this.expected = true
    this.connecting = connecting
  }

  /** The connection is there: both its directions are the stream's from now on. */
  attach(vc: VConnection): void {
    this.vc = vc
    this.context ??= new AsyncResource('NETVC')
    this.connecting = this.expected = false
    this.reader = vc.handToStream(this.stream)
    if (this.stream.destroyed) {
      vc.doIoClose()
      return
    }
    if (this.reader) this.#arm(vc, this.reader.buffer)
    if (this.wishes) this.option(this.wishes)
  }

  /** What was written, or ended, before there was a connection. */
  runDelayed(): void {
    const { delayed } = this
    if (delayed === undefined) return
    this.delayed = this.#delayedFailed = undefined
    this.delayedBytes = 0
    delayed()
  }

  // --- reading -------------------------------------------------------------------------------

  /** _read(): the readable side has room. */
  read(): void {
    this.wanted = true
    const { vc } = this
    if (vc === undefined) return
    if (this.reader) {
      if (this.held) this.#take(this.reader, false)
      else if (this.over) this.#conclude()
    } else if (!this.over && !vc.closed) {
      const buffer = new MIOBuffer()
      this.reader = buffer.allocReader()
      this.#arm(vc, buffer)
    }
    if (this.counted) this.settle()
  }

  /** The connection is there: reading starts, unless that was paused before. */
  startReading(): void {
    const { stream } = this
    if (stream.destroyed || !stream.readable) return
    if (this.wanted) this.read()
    else if (!stream.isPaused()) stream.read(0)
    this.settle()
  }

  #arm(vc: VConnection, buffer: MIOBuffer): void {
    vc.doIoRead(this.handle, Infinity, buffer)
    if (buffer.maxReadAvail === 0) return
    if (this.wanted) this.#take(this.reader!, false)
    else this.held = true
  }

  /** Handles the read operation: while the stream has the connection no other handler may. */
  readonly handle = (event: VCEvent): void => {
    this.context!.runInAsyncScope(this.#guarded, this, event)
  }

  /** tell(), without a closure for each event. */
  #guarded(event: VCEvent): void {
    try {
      this.#told(event)
    } catch (error) {
      native.tellUncaught(error)
    }
  }

  #told(event: VCEvent): void {
    if (event === VCEvent.READ_READY) {
      if (this.idle?.told === true) this.idle.moved()
      if (this.wanted) {
        if (this.reader) this.#take(this.reader, true)
      } else if (!this.held) {
        this.held = true
        this.#watchFailure()
      }
    } else if (event >= VCEvent.READ_COMPLETE && event <= VCEvent.ERROR) {
      const vc = this.vc!
      const error = vc.error ?? vc.failure
      this.over = true
      if (error) this.#failed(vc, error)
      // What came before the peer's end is still to be read; a failure is not put off, except that
      // TLS hears of neither while it does not read, as over a socket of node:net.
      const waits = this.upper?.tls ? !this.wanted : this.held && event !== VCEvent.ERROR
      if (!waits) this.#conclude()
    }
  }

  #failed(vc: VConnection, error: NetvcError): void {
    if (error.code !== 'EPIPE') {
      this.#error = streamError(error, vc.error ? 'read' : 'write')
      this.#broken = streamError(error, 'write')
      return
    }
    // The peer had ended before it refused what was sent. That is an error of writing: of bytes that
    // were lost, or else of the next ones; the reader has its orderly end.
    const broken = systemErrorOf(errno.EPIPE, 'write')
    const lost = (vc.inspect()?.bytesOut ?? 0) < this.bytesOut
    if (lost && !this.upper?.tls) this.#error = broken
    else this.#broken = broken
  }

  /** Hands on what the engine has read; told: not from within _read(). */
  #take(reader: IOBufferReader, told: boolean): void {
    this.held = false
    try {
      this.deliver(reader, told)
    } catch (error) {
      native.tellUncaught(error) // what follows is not lost by it
    }
    if (this.over && !this.held && !this.stream.destroyed) this.#conclude()
  }

  /** What is read goes to the stream; a subclass may have another place for it. */
  deliver(reader: IOBufferReader, told: boolean): void {
    const bytes = reader.read()
    if (bytes.length === 0) return
    this.bytesIn += bytes.length
    const { stream, upper } = this
    if (upper?.started) {
      upper.data(bytes)
      return
    }
    // As push() does it, without a second look one tick later that finds nothing. Not from within
    // _read(): there an error of a listener would be taken for one of _read().
    if (
      told &&
      stream.readableFlowing === true &&
      stream.readableDidRead &&
      stream.readableLength === 0 &&
      stream.readableEncoding === null &&
      stream.listenerCount('data') > 0
    ) {
      stream.emit('data', bytes)
    } else if (!stream.push(bytes)) {
      this.wanted = false
      this.settle()
    }
  }

  #conclude(): void {
    const { stream, vc, upper } = this
    if (upper?.tls) {
      upper.end(this.#error)
    } else if (this.#error) {
      stream.destroy(this.#error)
      return
    } else {
      tell(() => stream.push(null))
      tell(() => void stream.read(0)) // 'end' comes also when nobody reads
    }
    // With nothing armed a failure of writing closes the connection, which is told to gone().
    if (!stream.destroyed && vc?.closed === false) vc.doIoRead(this.handle, 0, null)
    this.freeBuffer()
    this.settle()
  }

  freeBuffer(): void {
    this.reader?.buffer.free()
    this.reader = undefined
    this.held = false
  }

  /** While nothing is read, only this tells that writing has failed. */
  #watchFailure(): void {
    const { vc } = this
    if (this.#watch !== undefined || vc === undefined) return
    this.#watch = vc.watchFailure((code, text) => {
      this.#watch = undefined
      if (this.over || code === Code.CLOSED) return
      this.gone(vc.errorOf(code, 'write', text))
    })
  }

  // --- writing -------------------------------------------------------------------------------

  write(chunk: Chunk, encoding: BufferEncoding, callback: Callback): void {
    const { vc } = this
    if (vc === undefined) {
      this.delayedBytes = byteLength(chunk, encoding)
      this.#delay(() => {
        this.write(chunk, encoding, callback)
      }, callback)
      return
    }
    if (this.idle?.told === true) this.idle.moved()
    let below: boolean
    try {
      if (this.#broken) throw this.#broken
      below = this.#send(vc, chunk, encoding)
    } catch (error) {
      callback(this.#writeError(error as NetvcError))
      return
    }
    this.#written(vc, below, callback)
  }

  writev(chunks: Piece[], callback: Callback): void {
    const { vc } = this
    if (vc === undefined) {
      for (const { chunk, encoding } of chunks) this.delayedBytes += byteLength(chunk, encoding)
      this.#delay(() => {
        this.writev(chunks, callback)
      }, callback)
      return
    }
    if (this.idle?.told === true) this.idle.moved()
    let below: boolean
    try {
      if (this.#broken) throw this.#broken
      below = this.#sendAll(vc, chunks)
    } catch (error) {
      callback(this.#writeError(error as NetvcError))
      return
    }
    this.#written(vc, below, callback, true)
  }

  #written(vc: VConnection, below: boolean, callback: Callback, several = false): void {
    if (this.counted) this.#waitForUnsent(vc)
    if (below) callback()
    else this.#whenSent(vc, vc.writableLowWaterMark, callback, several)
  }

  /** Whether less than the high mark waits. */
  #send(vc: VConnection, chunk: Chunk, encoding: BufferEncoding): boolean {
    if (typeof chunk !== 'string') {
      this.bytesOut += chunk.length
      return vc.write(chunk)
    }
    const n = vc.writeText(chunk, encoding)
    this.bytesOut += n < 0 ? ~n : n
    return n >= 0
  }

  /** The same for several; with large ones among them they leave as one message. */
  #sendAll(vc: VConnection, chunks: Piece[]): boolean {
    if (!chunks.some(({ chunk }) => chunk.length > smallMessage)) {
      let below = true
      for (const { chunk, encoding } of chunks) below = this.#send(vc, chunk, encoding)
      return below
    }
    const pieces: Uint8Array[] = []
    for (const { chunk, encoding } of chunks) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
      this.bytesOut += bytes.length
      pieces.push(bytes)
    }
    return vc.write(pieces)
  }

  /** Calls back when at most so many bytes wait, or with why they never will. */
  #whenSent(vc: VConnection, mark: number, callback: Callback, several = false): void {
    const context = new AsyncResource('NETVC_WRITE') // bind() takes microseconds
    const done = (error: Error | null) => {
      this.#waiting = undefined
      context.runInAsyncScope(tell, undefined, () => {
        callback(error)
      })
    }
    const token = expectNotice((code, text) => {
      done(code === 0 ? null : this.#writeError(vc.errorOf(code, 'write', text)))
    }, this.isRef && vc.reactor.wantsRef)
    // After its own destroy() a stream does not learn what becomes of these bytes. Node then tells
    // the write that is under way nothing, and those behind it that the stream was destroyed.
    this.#waiting = (error) => {
      ignore(token)
      const told = this.#broken ?? (several ? (error ?? destroyedError()) : null)
      return () => {
        done(told)
      }
    }
    native.notifyDrained(vc.slot, vc.version, mark, token)
  }

  #writeError(error: NetvcError): Error {
    return error === this.#broken ? error : writeError(error)
  }

  #delay(act: () => void, failed: Callback): void {
    if (this.expected) {
      this.delayed = act
      this.#delayedFailed = failed
    } else {
      failed(codedError('ERR_SOCKET_CLOSED', 'Socket is closed'))
    }
  }

  final(callback: Callback): void {
    const { vc } = this
    if (vc === undefined) {
      this.delayed = () => {
        this.final(callback)
      }
      return
    }
    if (vc.closed) {
      callback()
      return
    }
    vc.doIoShutdown('write')
    if (native.unsent(vc.slot, vc.version) > 0) this.#whenSent(vc, 0, callback)
    else callback()
  }

  // --- the end -------------------------------------------------------------------------------

  destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.connecting = this.expected = false
    this.delayed = undefined
    if (this.#delayedFailed) {
      const text = 'Socket closed before the connection was established'
      this.#delayedFailed(error ?? codedError('ERR_SOCKET_CLOSED_BEFORE_CONNECTION', text))
      this.#delayedFailed = undefined
    }
    this.idle?.stop()
    this.idle = undefined
    this.#watch?.()
    this.#watch = undefined
    const { vc } = this
    if (vc !== undefined) {
      if (this.reset) vc.closeWithReset()
      else vc.doIoClose()
      if (this.counted) this.count(false)
    }
    this.freeBuffer()
    const waiting = this.#waiting?.(error)
    callback(error)
    this.upper?.destroyed()
    const { stream, context, upper } = this
    if (context) closeLater({ stream, hadError: error !== null, context })
    else closeSoon(stream)
    // What is under way fails before 'close', and its ticks run before it: the loop tells the last
    // one first.
    if (waiting) inClosingPhase(waiting)
    if (upper) {
      inClosingPhase(() => {
        upper.failRest()
      })
    }
  }

  /** The connection was closed by somebody else, or has failed with nobody to tell. */
  gone(error: NetvcError | undefined): void {
    const { stream } = this
    if (stream.destroyed) return
    if (this.upper?.tls && error?.errno !== undefined) this.#goneBelowTls(error)
    else {
      this.#broken ??= error ? streamError(error, 'write') : systemErrorOf(errno.EPIPE, 'write')
      this.within(() => stream.destroy(error && streamError(error, 'write')))
    }
  }

  /** A failure while TLS does not read: it hears of it when it reads again, or by its next write. */
  #goneBelowTls(error: NetvcError): void {
    this.#broken ??= streamError(error, 'write')
    if (this.over) return
    this.over = true
    if (error.code !== 'EPIPE') this.#error = streamError(error, 'read')
    if (this.wanted)
      this.within(() => {
        this.#conclude()
      })
  }

  // --- ref, and options ----------------------------------------------------------------------

  setRef(on: boolean): void {
    this.isRef = on
    this.settle()
  }

  /**
   * As with the sockets of Node only what reads, connects or has bytes to send keeps the thread
   * alive: the reactor is told when that changes.
   */
  settle(): void {
    const { vc } = this
    if (vc === undefined || vc.closed || this.stream.destroyed) return
    const reads = this.wanted && this.reader !== undefined && !this.over
    if (this.counted !== (this.isRef && reads)) return
    this.count(!this.counted)
    if (this.counted) this.#waitForUnsent(vc)
  }

  #waitForUnsent(vc: VConnection): void {
    if (!this.isRef || vc.writableLength === 0) return
    const token = expectNotice(() => undefined, vc.reactor.wantsRef)
    native.notifyDrained(vc.slot, vc.version, 0, token)
  }

  /** Whether the reactor lives without this connection. */
  count(without: boolean): void {
    this.counted = without
    this.vc!.reactor.discount(without ? 1 : -1)
  }

  /**
   * Now, or when there is a connection, and for each that this stream connects to later. What the
   * system refuses is not told, as by net.Socket.
   */
  option(options: SocketOptions): void {
    this.wishes = { ...this.wishes, ...options }
    const { vc } = this
    if (vc !== undefined && !vc.closed) {
      try {
        vc.setSocketOptions(options)
      } catch {
        // See above.
      }
    }
  }
}
