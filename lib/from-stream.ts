import type { Duplex } from 'node:stream'
import { NetvcArgumentError, NetvcError, wrongType } from './errors.js'
import { VCEvent } from './events.js'
import { clearTimeout, setTimeout } from './globals.js'
import { VCHandle } from './handle.js'
import { MIOBuffer, type IOBufferReader } from './mio-buffer.js'
import { pullReader, type PullReader } from './pull-reader.js'
import type { Reactor } from './reactor.js'
import type { VConnection } from './vconnection.js'
import type { VIO } from './vio.js'

/** Bytes of the stream that wait for the connection; then the stream is not read. */
const highWaterMark = 64 * 1024
/** As long as a socket that was closed may take for its last bytes. */
const lingerMs = 10_000

const methods = ['on', 'read', 'write', 'end', 'destroy'] as const

function checkStream(duplex: unknown): asserts duplex is Duplex {
  const stream = duplex as Record<string, unknown> | null
  const fits = typeof stream === 'object' && stream !== null
  if (!fits || methods.some((name) => typeof stream[name] !== 'function')) {
    throw wrongType('duplex', 'a Duplex stream', duplex)
  }
  if (stream['readableObjectMode'] === true || stream['writableObjectMode'] === true) {
    const text = 'The argument "duplex" must be a stream of bytes. Received one in object mode.'
    throw new NetvcArgumentError('ERR_INVALID_ARG_VALUE', text)
  }
  if (stream['destroyed'] === true) {
    throw new NetvcError('ERR_STREAM_DESTROYED', 'fromStream: the stream was destroyed before')
  }
}

/** @internal Reactor.fromStream() */
export function fromStream(reactor: Reactor, duplex: unknown): VConnection {
  checkStream(duplex)
  const [outer, inner] = reactor.pair({ tag: 'fromStream' })
  new Joint(new VCHandle(outer.slot, outer.version), inner, duplex)
  return outer
}

/**
 * Moves bytes between a stream and the inner end of a pair, with the ends and errors of both. It
 * knows the outer end only by its id, so that one that is forgotten can be garbage collected.
 */
class Joint {
  readonly #outer: VCHandle
  readonly #inner: VConnection
  readonly #duplex: Duplex
  readonly #buffer = new MIOBuffer()
  readonly #reader: IOBufferReader
  readonly #writing: VIO
  readonly #reading: PullReader
  #inputEnded = false
  #inputDone = false
  #outputDone = false
  #full = false
  #outerClosed = false
  #linger: NodeJS.Timeout | undefined

  constructor(outer: VCHandle, inner: VConnection, duplex: Duplex) {
    this.#outer = outer
    this.#inner = inner
    this.#duplex = duplex
    this.#reader = this.#buffer.allocReader()
    this.#writing = inner.doIoWrite(this.#onWrite, Infinity, this.#reader)
    this.#reading = pullReader(inner, 'fromStream')
    this.#reading.whenEnded = this.#onInnerEnd
    outer.onFailed(this.#onOuterEnd)
    duplex.on('error', this.#onError).on('close', this.#onClose)
    if (duplex.readableEnded) this.#onEnd()
    else duplex.on('end', this.#onEnd).on('readable', this.#pump)
    if (duplex.writableFinished) {
      this.#onFinish()
    } else {
      duplex.on('finish', this.#onFinish).on('drain', this.#onDrain)
      this.#deliver()
    }
  }

  // --- from the stream to the connection

  readonly #pump = (): void => {
    if (this.#inputDone || this.#inner.closed) return
    const before = this.#buffer.produced
    while (this.#buffer.maxReadAvail < highWaterMark) {
      const chunk = this.#duplex.read() as Buffer | string | null
      if (chunk === null) break
      this.#buffer.write(
        typeof chunk === 'string' ? Buffer.from(chunk, this.#duplex.readableEncoding!) : chunk,
      )
    }
    if (this.#buffer.produced !== before) this.#writing.reenable()
  }

  readonly #onEnd = (): void => {
    this.#inputEnded = true
    if (!this.#inputDone && !this.#inner.closed) this.#writing.reenable() // told again when everything has left
  }

  readonly #onWrite = (event: VCEvent): void => {
    if (event !== VCEvent.WRITE_READY) {
      this.#refused()
    } else if (!this.#inputEnded) {
      this.#pump()
    } else if (this.#reader.readAvail === 0) {
      this.#inner.doIoShutdown('write')
      this.#inputOver()
    } else {
      this.#writing.reenable()
    }
  }

  /** The outer end takes nothing more. What the stream still has goes nowhere, up to its end. */
  #refused(): void {
    this.#inputOver()
    this.#duplex.off('readable', this.#pump)
    this.#duplex.resume()
  }

  #inputOver(): void {
    if (this.#inputDone) return
    this.#inputDone = true
    this.#buffer.free()
    this.#closeWhenDone()
  }

  // --- from the connection to the stream

  readonly #deliver = (): void => {
    while (!this.#full && !this.#outputDone) {
      if (this.#reading.available > 0) {
        this.#full = !this.#duplex.write(this.#reading.take())
      } else if (this.#reading.ended) {
        const error = this.#reading.finish()
        if (error) this.#duplex.destroy(error)
        else this.#duplex.end()
        return
      } else {
        void this.#reading.wait().then(this.#deliver)
        return
      }
    }
  }

  readonly #onDrain = (): void => {
    this.#full = false
    this.#deliver()
  }

  readonly #onFinish = (): void => {
    if (this.#outputDone) return
    this.#outputDone = true
    // Whoever writes to the outer end from now on is told.
    if (!this.#inner.closed) this.#inner.doIoShutdown('read')
    this.#reading.drop()
    if (this.#outerClosed) this.#duplex.destroy()
    this.#closeWhenDone()
  }

  // --- the ends

  /** Not by its peer's end: the reactor was closed. */
  readonly #onInnerEnd = (): void => {
    if (this.#inner.closed) this.#duplex.destroy()
  }

  readonly #onOuterEnd = (error: NetvcError): void => {
    this.#outerClosed = true
    if (error.code !== 'ERR_VC_CLOSED') this.#duplex.destroy(error)
    else if (this.#outputDone) this.#duplex.destroy()
    else this.#linger = setTimeout(() => this.#duplex.destroy(), lingerMs).unref()
  }

  readonly #onError = (error: Error): void => {
    this.#outer.setFailed(error)
  }

  readonly #onClose = (): void => {
    clearTimeout(this.#linger)
    if (!this.#inputEnded && !this.#outerClosed) {
      const text = 'the stream was destroyed before its end'
      this.#outer.setFailed(new NetvcError('ECONNRESET', text))
    }
    this.#onFinish()
    if (!this.#inputEnded) this.#inputOver()
  }

  #closeWhenDone(): void {
    if (this.#inputDone && this.#outputDone) this.#inner.doIoClose()
  }
}
