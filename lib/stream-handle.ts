import { executionAsyncResource } from 'node:async_hooks'
import type { Duplex } from 'node:stream'
import { errno } from './errors.js'
import { nextTick } from './globals.js'
import { inClosingPhase } from './loop.js'
import type { Callback } from './stream-link.js'
import { kLink, type VCStream } from './stream.js'
import { Frames, tellFrame } from './stream-frames.js'

/**
 * TLS and http2 of Node work on the handle of a socket. For a stream that has none Node makes one
 * out of the stream's methods and events (JSStreamSocket). A socket loses by that: its read errors,
 * its addresses, ref() and unref(); a pause() by somebody else stops TLS, and listeners of the
 * socket see what is encrypted. Here the connection itself answers for the handle, as that of
 * node:net does. Only the one object that Node has made for this stream is changed.
 *
 * All of it is called on the stream's own thread.
 */
interface NativeHandle {
  // What Node's native code calls: 0, or a negative errno.
  onreadstart: () => number
  onreadstop: () => number
  onwrite: (request: object, chunks: Uint8Array[]) => number
  onshutdown: (request: object) => number
  isClosing: () => boolean
  /** Node calls this from JavaScript, and so those below, when they are there. */
  close: (told: () => void) => void
  ref?: () => void
  unref?: () => void
  getpeername?: (out: object) => number
  getsockname?: (out: object) => number
  setNoDelay?: (on: boolean) => number
  setKeepAlive?: (on: boolean, seconds: number) => number
  // What the native code is told.
  readBuffer(bytes: Uint8Array): void
  emitEOF(): void
  finishWrite(request: object, status: number): void
  finishShutdown(request: object, status: number): void
}

interface Write {
  request: object
  chunks: Uint8Array[]
}

/** The socket that Node has put around the stream. */
interface Wrapper extends Duplex {
  stream: unknown
  connecting: boolean
}

/** What is public of tls.TLSSocket, and needed here. */
interface Secure extends Duplex {
  encrypted: true
  connecting: boolean
}

/**
 * Called by resume(). When Node's handle for this stream asks for the first bytes, the connection
 * takes its place, and the answer is true. Node runs the call as that of the handle.
 */
export function takeOver(stream: VCStream): boolean {
  if (!stream.isPaused() || stream.listenerCount('data') === 0) return false
  const native = executionAsyncResource() as NativeHandle
  const wrapper = wrapperOf(native, stream)
  if (wrapper === undefined) return false
  // Node's own listener, the last one: whoever reads what the stream holds passes it on.
  stream.off('data', stream.listeners('data').at(-1) as () => void)
  stream[kLink].upper = new UpperHandle(stream, native, wrapper)
  return true
}

/** undefined: it is not a handle, or that of another stream. */
function wrapperOf(native: Partial<NativeHandle>, stream: VCStream): Wrapper | undefined {
  if (typeof native.readBuffer !== 'function' || typeof native.onreadstart !== 'function') return
  for (const key of Object.getOwnPropertySymbols(native)) {
    const value = (native as Record<symbol, unknown>)[key] as Partial<Wrapper> | null | undefined
    if (value?.stream === stream) return value as Wrapper
  }
  return undefined
}

/** The handle of a stream that TLS or http2 has taken over. */
export class UpperHandle {
  /** It keeps the end and failures to itself. Without it, which is http2, the stream tells them. */
  tls: Secure | undefined
  #reads = true
  readonly #frames = new Frames()
  /** Before, what is read goes to the stream: behind what that holds. */
  started = false
  /** It was destroyed before. */
  #dead = false
  #whenClosed: (() => void) | undefined
  /** The request of the write that is under way. */
  #writing: object | undefined
  /** Those behind it: TLS does not wait with what it writes by itself, as in a renegotiation. */
  readonly #writes: Write[] = []
  #shutting: object | undefined
  /** Nothing can be written yet. */
  #waits = false

  constructor(
    private readonly stream: VCStream,
    private readonly native: NativeHandle,
    private readonly wrapper: Wrapper,
  ) {
    const link = stream[kLink]
    link.wanted = false // from now on it is the handle that wants
    this.#waitForTurn()
    this.#findTls()
    this.#dead = stream.destroyed
    stream.once('close', () => this.#whenClosed?.())
    Object.assign(native, this.#methods())
    // TLS and http2 listen to the handle after one tick, and TLS has taken what the stream holds.
    nextTick(() => nextTick(() => this.#start()))
  }

  #methods(): Partial<NativeHandle> {
    const { stream } = this
    const link = stream[kLink]
    return {
      onreadstart: () => {
        if (stream.destroyed) return -errno.EINVAL
        this.#reads = true
        if (this.started) nextTick(() => this.#read())
        return 0
      },
      onreadstop: () => {
        this.#reads = link.wanted = false
        link.settle()
        return 0
      },
      onwrite: (request, chunks) => this.#write(request, chunks),
      onshutdown: (request) => {
        this.#shutting = request
        this.#goOn()
        return 0
      },
      isClosing: () => stream.destroyed || link.vc?.closed === true,
      close: (told) => {
        // In the order in which node:net tells it: by TLS behind all listeners of 'close'.
        if (this.#dead) {
          inClosingPhase(told)
        } else if (stream.destroyed) {
          this.#whenClosed = told
        } else {
          stream.once('close', told)
          stream.destroy()
        }
      },
      ref: () => void stream.ref(),
      unref: () => void stream.unref(),
      getpeername: (out) =>
        placed(out, stream.remoteAddress, stream.remoteFamily, stream.remotePort),
      getsockname: (out) => placed(out, stream.localAddress, stream.localFamily, stream.localPort),
      setNoDelay: (on) => {
        stream.setNoDelay(on)
        return 0
      },
      setKeepAlive: (on, seconds) => {
        stream.setKeepAlive(on, seconds * 1000)
        return 0
      },
    }
  }

  /** What was written to the stream before leaves first; without a connection everything waits. */
  #waitForTurn(): void {
    const { stream, wrapper } = this
    const goOn = () => {
      this.#waits = false
      this.#goOn()
    }
    const afterOwn = () => {
      if (stream.writableLength > 0 && !stream.writableEnded) stream.write('', goOn)
      else goOn()
    }
    if (stream.vc === undefined) {
      this.#waits = wrapper.connecting = true
      stream.once('connect', () => {
        for (const one of [this.tls, wrapper]) {
          if (one) one.connecting = false
          one?.emit('connect')
        }
        afterOwn()
      })
    } else if (stream.writableLength > 0) {
      this.#waits = true
      afterOwn()
    }
  }

  /** TLS asks for readableLength in a tick that names the TLSSocket; there is no other way to it. */
  #findTls(): void {
    const { stream } = this
    const prototype = Object.getPrototypeOf(stream) as object
    Object.defineProperty(stream, 'readableLength', {
      configurable: true,
      get: () => {
        const { args } = executionAsyncResource() as { args?: [Secure, unknown] }
        if (Array.isArray(args) && args[1] === stream && args[0].encrypted) this.#tlsFound(args[0])
        return Reflect.get(prototype, 'readableLength', stream) as number
      },
    })
  }

  #tlsFound(tls: Secure): void {
    Reflect.deleteProperty(this.stream, 'readableLength')
    this.tls = tls
    tls.connecting = this.stream.vc === undefined
  }

  // --- reading -------------------------------------------------------------------------------

  #start(): void {
    const { stream, native } = this
    while (stream.readableLength > 0 && !stream.destroyed) {
      const bytes = stream.read() as Buffer | string
      native.readBuffer(typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
    }
    this.started = true
    this.#read()
  }

  #read(): void {
    if (this.#reads && !this.stream.destroyed) this.stream[kLink].read()
  }

  data(bytes: Uint8Array): void {
    if (this.tls) {
      this.native.readBuffer(bytes)
      return
    }
    // http2 tells what a frame says by ticks, and over a socket of node:net they run before it sees
    // the next frame: a response is told also when the reset behind it is already there.
    for (const frame of this.#frames.split(bytes)) {
      if (this.stream.destroyed) return // by what the frame before has told
      this.native.readBuffer(frame)
      tellFrame()
    }
  }

  /** Of TLS only: the peer has ended, or the connection has failed. */
  end(error: Error | undefined): void {
    if (error) this.tls!.destroy(error)
    else this.native.emitEOF()
  }

  // --- writing -------------------------------------------------------------------------------

  #write(request: object, chunks: Uint8Array[]): number {
    if (!this.#waits && this.#writing === undefined) return this.#begin({ request, chunks })
    this.#writes.push({ request, chunks })
    return 0
  }

  #begin({ request, chunks }: Write): number {
    this.#writing = request
    const status = this.#send(chunks)
    if (status < 0) this.#writing = undefined
    return status
  }

  /** A negative errno: it has failed at once, and nothing more is told. */
  #send(chunks: Uint8Array[]): number {
    const link = this.stream[kLink]
    let status: number | undefined
    let later = false
    const told: Callback = (error) => {
      if (this.stream.destroyed) return // see failRest()
      status = error ? statusOf(error) : 0
      if (later) this.#written(status)
    }
    if (chunks.length === 1) link.write(chunks[0], 'latin1', told)
    else
      link.writev(
        chunks.map((chunk) => ({ chunk, encoding: 'latin1' as const })),
        told,
      )
    later = true
    if (status === undefined) return 0
    if (status === 0) nextTick(() => this.#written(0))
    return status
  }

  #written(status: number): void {
    const request = this.#writing
    if (request === undefined) return
    this.#writing = undefined
    this.native.finishWrite(request, status)
    this.#goOn()
  }

  /** The next write; behind the last one the end, which TLS asks for while it still writes. */
  #goOn(): void {
    if (this.#waits || this.#writing !== undefined || this.stream.destroyed) return
    const next = this.#writes.shift()
    if (next === undefined) {
      if (this.#shutting !== undefined)
        this.stream[kLink].final(() => {
          nextTick(() => this.#shut(0))
        })
      return
    }
    const status = this.#begin(next)
    if (status === 0) return
    this.native.finishWrite(next.request, status)
    this.#goOn()
  }

  #shut(status: number): void {
    const request = this.#shutting
    this.#shutting = undefined
    if (request !== undefined) this.native.finishShutdown(request, status)
  }

  /** The stream was destroyed. */
  destroyed(): void {
    this.wrapper.destroy()
  }

  /** Before 'close' what is under way fails, as over node:net. */
  failRest(): void {
    this.#written(-errno.ECANCELED)
    for (const { request } of this.#writes.splice(0))
      this.native.finishWrite(request, -errno.ECANCELED)
    this.#shut(-errno.ECANCELED)
  }
}

function placed(out: object, address?: string, family?: string, port?: number): number {
  if (address === undefined) return -errno.ENOTCONN
  Object.assign(out, { address, family, port })
  return 0
}

const statusOf = ({ errno: n }: NodeJS.ErrnoException) =>
  typeof n === 'number' && n < 0 ? n : -errno.EPIPE
