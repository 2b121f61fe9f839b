import type { NetvcError } from './errors.js'
import { Code, errno, messageError, outOfRange, refusalError, wrongType } from './errors.js'
import { NativePromise, nextTick } from './globals.js'
import { toBytes } from './mio-buffer.js'
import { GONE, native, type NativeAddress, type NativeInspection } from './native.js'
import { expectNotice, forget, ignore } from './notices.js'
import { checkOptions, maxInt } from './options.js'
import { assign, mySeat } from './workers.js'

/** What inspect() shows: a snapshot for people and tests, not a stable interface. */
export interface VConnectionInspection extends NativeInspection {
  id: bigint
  remoteAddress: string | undefined
  localAddress: string | undefined
}

/** What can be sent: bytes, or text as UTF-8; several pieces are one message. */
export type Message = Uint8Array | string | readonly (Uint8Array | string)[]

/** How a message failed, or null when the kernel has all of it. */
export type WriteCallback = (error: NetvcError | null) => void

export interface WriteOptions {
  /**
   * Tells when the kernel has the whole message, or why it never will: `true` makes write() answer
   * a promise, a function is called with the error or null. This is then the only channel: a refusal
   * comes there too, and is not thrown (SW-2).
   */
  completion?: boolean | WriteCallback
  /** Accept it although too many bytes wait already. Default false. */
  ignoreOvercrowded?: boolean
  /**
   * Milliseconds: if nothing of the message has left by then it is taken back, and its completion
   * says ETIMEDOUT. Default 0, no limit.
   */
  timeout?: number
  /** Answers that this message will get, in the order of the stream: see popPipelined(). */
  pipelinedCount?: number
  /** Goes with pipelinedCount: the first of these answers is one of authentication. */
  auth?: boolean
}

const none: WriteOptions = {}
/** write() answers false from here on; drained() waits for half of it. */
const highWaterMark = 256 * 1024
/** Milliseconds that closeGracefully() waits for the peer. */
const gracefulMs = 10_000

/**
 * A connection by its id, from any JavaScript thread of the process: what can be done without being
 * the one who reads it. Made by Reactor.address(id); every VConnection is one too. Semantics: brpc's
 * Socket (docs/write-path.md).
 *
 * A handle keeps nothing alive. When the connection is gone it is "closed" for ever, and never
 * another connection.
 */
export class VCHandle {
  /** @internal */ readonly slot: number
  /** @internal */ readonly version: number
  #high = highWaterMark
  #low = highWaterMark / 2
  #drain: Promise<void> | undefined
  #remote: NativeAddress | undefined
  #local: NativeAddress | undefined

  /** @internal */
  constructor(slot: number, version: number) {
    this.slot = slot
    this.version = version
  }

  /** Names the connection for ever: plain data, never reused for another connection. */
  get id(): bigint {
    return (BigInt(this.version >>> 0) << 32n) | BigInt(this.slot >>> 0)
  }

  /** True when it cannot be used any more: closed by its owner, or failed. */
  get closed(): boolean {
    return native.failure(this.slot, this.version) !== 0
  }

  /** True when it has failed: by an error of the socket, or setFailed(). See failure. */
  get failed(): boolean {
    return this.failure !== undefined
  }

  /**
   * What its id answers now: `alive`; `failed`, while somebody still has hold of what is left of it;
   * or `gone`. An id that is gone never comes back (INV-11).
   */
  get state(): 'alive' | 'failed' | 'gone' {
    const code = native.failure(this.slot, this.version)
    if (code !== 0 && code !== Code.CLOSED) return 'failed'
    return code === 0 && !this.closed ? 'alive' : 'gone'
  }
  /** False when it is closed, has failed, or was told to get no new work: see setLogOff(). */
  get available(): boolean {
    return !this.closed && native.logOff(this.slot, this.version, 0) === 1
  }

  /**
   * Marks it as one that is to get no new work, for everybody and until it ends: `available` is
   * false from then on. It goes on as before; whoever chooses among connections leaves it out (SK-9).
   */
  setLogOff(): void {
    native.logOff(this.slot, this.version, 1)
  }

  /** Why it has failed; undefined while it has not, and when it was closed in an orderly way. */
  get failure(): NetvcError | undefined {
    const code = native.failure(this.slot, this.version)
    if (code === 0) return undefined
    const error = this.failedWith(code, 'connection')
    return error.code === 'ERR_VC_CLOSED' ? undefined : error
  }

  /**
   * Submits one message. It leaves as a whole, behind what was submitted before by this thread
   * (SW-9), and ahead of bytes that a write operation has not sent yet. Never waits.
   *
   * Without `completion` it answers false when more than the high mark waits: better wait for
   * drained() before the next. A refusal is thrown: EINVAL (no bytes), EOVERFLOW (pipelinedCount),
   * EOVERCROWDED, ERR_VC_CLOSED, ERR_VC_SHUT, ERR_VC_TUNNELED, or the error the connection failed
   * with; then nothing of the message is sent.
   */
  write(data: Message, options: WriteOptions & { completion: true }): Promise<void>
  write(data: Message, options?: WriteOptions & { completion?: false | WriteCallback }): boolean
  write(data: Message, options?: WriteOptions): boolean | Promise<void>
  write(data: Message, options?: WriteOptions): boolean | Promise<void> {
    return this.submit(data, options)
  }

  /** @internal */
  submit(data: Message, options: WriteOptions | undefined): boolean | Promise<void> {
    const bytes = Array.isArray(data)
      ? data.map((piece) => toBytes(piece, 'data'))
      : toBytes(data, 'data')
    if (options === undefined) return this.#submit(bytes, undefined, undefined)
    checkOptions('write', options)
    const { completion } = options
    if (completion === true) {
      return new NativePromise((resolve, reject) => {
        this.#submit(bytes, options, (error) => {
          if (error) reject(error)
          else resolve()
        })
      })
    }
    return this.#submit(bytes, options, typeof completion === 'function' ? completion : undefined)
  }

  /** Whether less than the high mark waits. A refusal is told, or thrown if nobody is to be told. */
  #submit(
    bytes: Uint8Array | Uint8Array[],
    options: WriteOptions | undefined,
    told: WriteCallback | undefined,
  ): boolean {
    const { ignoreOvercrowded, auth, timeout = 0, pipelinedCount = 0 } = options ?? none
    const flags = (ignoreOvercrowded ? 1 : 0) | (auth ? 2 : 0)
    const tell = (code: number, text?: string) =>
      told!(code === 0 ? null : this.errorOf(code, 'write', text))
    const token = told ? expectNotice(tell, this.keepsAlive) : 0
    const code =
      this.refusal() ||
      native.submit(this.slot, this.version, bytes, flags, token, timeout, pipelinedCount)
    if (code <= 0) return -code <= this.#high
    const error = this.errorOf(code, 'write')
    if (!told) throw error
    forget(token)
    nextTick(told, error)
    return this.writableLength <= this.#high
  }

  /** @internal A code of native/vc/codes.h, or 0 when native code decides. */
  protected refusal(): number {
    return 0
  }

  /** @internal Whether answers that it waits for keep this thread alive. */
  protected get keepsAlive(): boolean {
    return true
  }

  /** @internal 1: who has the connection is told that it is closed. */
  protected get tellsOwner(): 0 | 1 {
    return 1
  }

  /** Bytes of messages that were accepted, from any thread, and that the kernel has not taken. */
  get writableLength(): number {
    return Math.max(0, native.unsent(this.slot, this.version))
  }

  /** Whether a message would be refused with EOVERCROWDED now. */
  get overcrowded(): boolean {
    return !this.closed && native.overcrowded(this.slot, this.version) === 1
  }

  /**
   * Bytes of memory that messages may take while they wait, before more are refused with
   * EOVERCROWDED: their own bytes, and about 160 for each that is kept by itself. Of the
   * connection, so the same for every thread. Default 64 MiB; a thread may be one message beyond.
   */
  get maxUnwritten(): number {
    return Math.max(0, native.maxUnwritten(this.slot, this.version, -1))
  }
  set maxUnwritten(bytes: number) {
    checkMark(bytes, 'maxUnwritten')
    native.maxUnwritten(this.slot, this.version, bytes)
  }

  /** The mark above which write() answers false. Of this object. Default 256 KiB. */
  get writableHighWaterMark(): number {
    return this.#high
  }
  /** The mark that drained() waits for. Default half of the high one. */
  get writableLowWaterMark(): number {
    return this.#low
  }
  /** Sets both marks, in bytes; low is half of high unless given. */
  setWriteMarks(high: number, low = Math.floor(high / 2)): void {
    checkMark(high, 'high')
    checkMark(low, 'low')
    if (low > high) throw outOfRange('low', `at most high (${String(high)})`, low)
    this.#high = high
    this.#low = low
  }

  /** Resolves when at most the low mark waits to be sent; rejects when the connection ends before. */
  drained(): Promise<void> {
    const refused = this.#drainRefusal() || native.failure(this.slot, this.version)
    if (refused) return NativePromise.reject(this.errorOf(refused, 'drained'))
    return (this.#drain ??= this.drainedTo(this.#low, () => {
      this.#drain = undefined
    }))
  }

  /** @internal The same for another mark; 0: the kernel has everything. */
  drainedTo(mark: number, told?: () => void): Promise<void> {
    return new NativePromise<void>((resolve, reject) => {
      this.waits(1)
      const token = expectNotice((code, text) => {
        told?.()
        this.waits(-1)
        code ||= this.#drainRefusal()
        if (code === 0) {
          this.whenDrained()
          resolve()
        } else {
          reject(this.errorOf(code, 'drained', text))
        }
      }, this.keepsAlive)
      native.notifyDrained(this.slot, this.version, mark, token)
    })
  }

  /** Messages that were accepted before the writing side was shut down still leave. */
  #drainRefusal(): number {
    const code = this.refusal()
    return code === Code.SHUT ? 0 : code
  }

  /** @internal What this thread knows of its end, which others may not know yet. */
  protected get end(): { error: NetvcError | undefined } | undefined {
    return undefined
  }

  /** @internal */
  protected waits(_change: 1 | -1): void {
    // A handle is kept alive by its promise.
  }
  /** @internal */
  protected whenDrained(): void {
    // Nothing is counted here.
  }

  /**
   * Fails the connection, from any thread: messages that wait are reported failed, new ones are
   * refused, the socket is shut down, and armed operations of its owner end with ERROR. The first
   * caller's error counts, for everybody and for ever; answers whether this was the first (SK-4).
   */
  setFailed(error?: Error | string): boolean {
    if (error !== undefined && !(error instanceof Error) && typeof error !== 'string') {
      throw wrongType('error', 'an Error or a string', error)
    }
    const { code, message } =
      typeof error === 'string'
        ? { code: undefined, message: error }
        : ((error ?? {}) as { code?: unknown; message?: string })
    const known =
      typeof code === 'string' ? (errno as Record<string, number | undefined>)[code] : undefined
    const text = message === undefined ? '' : JSON.stringify({ code, message })
    return !this.end && native.setFailed(this.slot, this.version, known ?? 0, text) === 1
  }

  /**
   * listener is called exactly once, whatever comes first: with the error when the connection
   * fails, or has failed before; with ERR_VC_CLOSED when it was closed in an orderly way (SK-7).
   * Never on the caller's stack. The answer forgets the listener, and frees what it cost.
   */
  onFailed(listener: (error: NetvcError) => void): () => void {
    if (typeof listener !== 'function') throw wrongType('listener', 'a function', listener)
    const { end } = this
    const tell = (code: number, text?: string) => {
      listener(end?.error ?? this.errorOf(code, 'connection', text))
    }
    const giveUp = end ? undefined : this.watchFailure(tell)
    if (giveUp) return giveUp
    let wanted = true
    nextTick(() => {
      if (wanted) tell(Code.CLOSED)
    })
    return () => {
      wanted = false
    }
  }

  /** @internal Tells the code that it fails with, once; the answer gives that up. Undefined: gone. */
  watchFailure(tell: (code: number, text?: string) => void): (() => void) | undefined {
    let told = false
    const token = expectNotice((code, text) => {
      told = true
      tell(code, text)
    }, false)
    const ticket = native.onFailed(this.slot, this.version, token)
    if (ticket === GONE) {
      forget(token)
      return undefined
    }
    return () => {
      if (told) return
      told = true
      if (ticket > 0 && native.giveUpOnFailed(this.slot, this.version, ticket) === 1) forget(token)
      else ignore(token)
    }
  }

  /**
   * Closes the connection. From its return on no handler of it is called. Messages given to write()
   * before are still sent, for ten seconds at most, unless an errno is given: then it is an abort.
   * Closing twice is harmless.
   */
  doIoClose(errno?: number): void {
    if (errno !== undefined) {
      if (typeof errno !== 'number') throw wrongType('errno', 'a number', errno)
      if (!Number.isInteger(errno) || errno < 0 || errno > maxInt) {
        throw outOfRange('errno', 'a positive system error number', errno)
      }
    }
    native.close(this.slot, this.version, errno ?? -1, this.tellsOwner)
  }

  /**
   * Closes without destroying what was sent last: messages leave, then FIN, and what the peer still
   * sends is read and dropped until it ends too, for `timeout` ms at most. A plain close makes the
   * kernel send RST when unread bytes have arrived, which can overtake a response (B-63).
   */
  closeGracefully(timeout = gracefulMs): void {
    if (typeof timeout !== 'number') throw wrongType('timeout', 'a number', timeout)
    if (!Number.isInteger(timeout) || timeout < 0 || timeout > maxInt) {
      throw outOfRange('timeout', 'whole milliseconds', timeout)
    }
    native.closeGracefully(this.slot, this.version, timeout, this.tellsOwner)
  }

  /** Closes at once and tells the peer so: RST. What is unsent is lost. */
  closeWithReset(): void {
    native.closeWithReset(this.slot, this.version, this.tellsOwner)
  }

  [Symbol.dispose](): void {
    this.doIoClose()
  }

  /**
   * Gives a parked connection to a thread that has called Reactor.register; its handler gets it.
   * Throws ERR_VC_NOT_OWNER when it is not parked, ERR_NO_SUCH_WORKER, ERR_NOT_SHARED,
   * ERR_VC_CLOSED.
   */
  assign(threadId: number): void {
    assign(mySeat.current, this, threadId, false, -1)
  }

  /** The next message that expects answers, in the order of the stream (F-134). */
  popPipelined(): { count: number; auth: boolean } | undefined {
    const next = native.popPipelined(this.slot, this.version)
    return next && { count: next[0], auth: next[1] === 1 }
  }

  /**
   * `tcp://127.0.0.1:54321`, `unix:///path`; `unix://` for a peer without a name, `''` for a pipe and
   * for an end of a pair that was given no addresses.
   */
  get remoteAddress(): string | undefined {
    return this.#address(0)?.[0]
  }
  get remoteHost(): string | undefined {
    return this.#address(0)?.[1]
  }
  get remotePort(): number | undefined {
    return this.#address(0)?.[2]
  }
  get localAddress(): string | undefined {
    return this.#address(1)?.[0]
  }
  get localHost(): string | undefined {
    return this.#address(1)?.[1]
  }
  get localPort(): number | undefined {
    return this.#address(1)?.[2]
  }

  #address(local: 0 | 1): NativeAddress | undefined {
    const known = local ? this.#local : this.#remote
    if (known !== undefined || this.closed) return known
    const address = native.address(this.slot, this.version, local)
    if (local) this.#local = address
    else this.#remote = address
    return address
  }

  /** The engine's state of the connection, or undefined when it is gone. Waits a turn of its thread. */
  inspect(): VConnectionInspection | undefined {
    if (this.closed) return undefined
    const state = native.inspect(this.slot, this.version)
    if (!state) return undefined
    const { id, remoteAddress, localAddress } = this
    return { id, remoteAddress, localAddress, ...state }
  }

  /** @internal The error for a code of native/vc/codes.h or an errno; text as setFailed gave it. */
  errorOf(code: number, what: string, text = ''): NetvcError {
    return (
      (text ? undefined : refusalError(code, what)) ??
      messageError(code, what, text || native.failureText(this.slot, this.version))
    )
  }

  /** @internal The same, of the connection itself: its failure may have the code of a refusal. */
  failedWith(code: number, what: string): NetvcError {
    return this.errorOf(code, what, native.failureText(this.slot, this.version))
  }
}

function checkMark(bytes: unknown, name: string): void {
  if (typeof bytes !== 'number') throw wrongType(name, 'a number of bytes', bytes)
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    throw outOfRange(name, 'a whole number of bytes >= 0', bytes)
  }
}
