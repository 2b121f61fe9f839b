import { collect, collectText, smallMessage, smallText } from './collect.js'
import {
  Code,
  connectionClosed,
  errno,
  NetvcError,
  refusalError,
  systemError,
  wrongType,
} from './errors.js'
import { Record, VCEvent } from './events.js'
import type { Message, WriteCallback, WriteOptions } from './handle.js'
import { hold, holdAgain, letGo, lookLater } from './hold.js'
import { IOBufferReader, MIOBuffer, toBytes } from './mio-buffer.js'
import { native } from './native.js'
import { checkBytes } from './options.js'
import { readingError } from './pull-reader.js'
import type { Reactor } from './reactor.js'
import { tellTimeout } from './timeouts.js'
import { kLink, type VCStream } from './stream.js'
import { VCStreams } from './vc-streams.js'
import type { Tunnel } from './tunnel.js'
import { enable, handlerFunction, VIO, type VIOHandler } from './vio.js'
import { assign } from './workers.js'

export type ShutdownHow = 'read' | 'write' | 'both'

const { failures } = native

const hasBytes = (buffer: MIOBuffer | undefined) =>
  buffer !== undefined && !buffer.isFreed && buffer.maxReadAvail > 0

/** What a stream would not notice: its detach() comes first. */
const takesOver = new Set(['assign', 'migrate', 'tunnel'])

/**
 * A connection: TCP or unix stream socket, accepted or connected. Semantics: Apache Traffic
 * Server's NetVConnection (docs/vio.md). All handlers run on the JavaScript thread that has the
 * reactor, never on the caller's stack (but see VIO.reenableRe), and none after doIoClose().
 */
export class VConnection extends VCStreams {
  /** @internal */ readonly reactor: Reactor
  /** @internal */ tunnel: Tunnel | undefined
  #read: VIO | undefined
  #write: VIO | undefined
  #left: MIOBuffer | undefined
  #closed = false
  #aborted = false
  #assigned = false
  #shut = 0
  #error: NetvcError | undefined
  #submitted = 0
  #knows = false // that it has failed, if it has
  #failures = -1 // of the word of that name when this was alive; -1: not asked yet
  #waits = 0

  /** @internal Made by Reactor. shut: the sides that its last owner has shut down. */
  constructor(reactor: Reactor, slot: number, version: number, shut: number) {
    super(slot, version)
    this.reactor = reactor
    this.#shut = shut
    hold(this)
  }

  /** True after doIoClose(), or when the connection ended with nobody armed to hear of it. */
  override get closed(): boolean {
    return this.#assigned ? super.closed : this.#closed
  }

  /** Its read operation, the same object for ever (VC-7); undefined before the first doIoRead(). */
  override get readVio(): VIO | undefined {
    return this.#read
  }
  /** The same of doIoWrite(). */
  override get writeVio(): VIO | undefined {
    return this.#write
  }

  /** Why the last EOS or ERROR came; undefined after an orderly end. */
  get error(): NetvcError | undefined {
    return this.#error
  }

  /**
   * Reads nbytes (Infinity: until EOS) into buffer; handler is told READ_READY as they come, then
   * READ_COMPLETE, EOS or ERROR. Replaces a read operation that is under way.
   * doIoRead(null, 0, null) cancels. The answer is the same VIO every time.
   */
  doIoRead(handler: VIOHandler | null, nbytes: number, buffer: MIOBuffer | null): VIO {
    const call = handlerFunction(handler)
    checkBytes(nbytes, 'nbytes')
    if (buffer !== null && !(buffer instanceof MIOBuffer)) {
      throw wrongType('buffer', 'a MIOBuffer or null', buffer)
    }
    this.assertUsable('doIoRead', 1, buffer === null)
    const reader = this.pull ?? this.duplex?.[kLink]
    if (reader && call !== reader.handle && !this.#closed) throw readingError(this, 'doIoRead')
    if (buffer?.isFreed === true) throw new NetvcError('ERR_BUFFER_FREED', 'the buffer was freed')
    const vio = (this.#read ??= new VIO(this, 0))
    vio.arm(buffer ? call : undefined, buffer ? nbytes : 0)
    vio.use(buffer ?? undefined, undefined)
    this.#armed(vio)
    if (this.#closed) return vio
    native.doIoRead(
      this.slot,
      this.version,
      vio.generation,
      vio.nbytes,
      buffer ? buffer.handle : -1,
      call ? 1 : 0,
    )
    return vio
  }

  /**
   * Writes nbytes (Infinity: as long as there are any) from reader; handler is told WRITE_READY
   * when more bytes are wanted, then WRITE_COMPLETE, EOS or ERROR. Bytes added to the reader's
   * buffer inside a WRITE_READY handler are taken without a reenable.
   */
  doIoWrite(handler: VIOHandler | null, nbytes: number, reader: IOBufferReader | null): VIO {
    const call = handlerFunction(handler)
    checkBytes(nbytes, 'nbytes')
    if (reader !== null && !(reader instanceof IOBufferReader)) {
      throw wrongType('reader', 'an IOBufferReader or null', reader)
    }
    this.assertUsable('doIoWrite', 2, reader === null)
    if (reader) void reader.readAvail // throws when it, or its buffer, is gone
    const vio = (this.#write ??= new VIO(this, 1))
    vio.arm(reader ? call : undefined, reader ? nbytes : 0)
    vio.use(undefined, reader ?? undefined)
    this.#armed(vio)
    if (this.#closed) return vio
    native.doIoWrite(
      this.slot,
      this.version,
      vio.generation,
      vio.nbytes,
      reader?.buffer.handle ?? -1,
      reader?.index ?? -1,
      call ? 1 : 0,
    )
    return vio
  }

  /**
   * As VCHandle.write. What this thread writes without options in one turn of the event loop leaves
   * together. Such a message may be empty, and is nothing then. If the connection has failed and you
   * cannot know yet, since its armed operations are about to be told, the answer is false, and
   * drained() rejects: so a handler need not expect the exception that comes later.
   */
  override write(data: Message, options: WriteOptions & { completion: true }): Promise<void>
  override write(
    data: Message,
    options?: WriteOptions & { completion?: false | WriteCallback },
  ): boolean
  override write(data: Message, options?: WriteOptions): boolean | Promise<void>
  override write(data: Message, options?: WriteOptions): boolean | Promise<void> {
    if (options !== undefined || Array.isArray(data) || this.#assigned) {
      return this.submit(data, options)
    }
    const bytes = data instanceof Uint8Array ? data : toBytes(data, 'data')
    if (this.#closed || this.#shut >= 2 || this.tunnel) this.assertUsable('write', 2)
    if (failures[0] !== this.#failures && !this.#alive()) return false
    const n = bytes.length
    const high = this.writableHighWaterMark
    if (this.#submitted + n > high && !this.#admit()) return false
    this.#submitted += n
    if (n > smallMessage) {
      if (native.write(this.slot, this.version, bytes) === -errno.ENOMEM) {
        this.#submitted -= n
        throw systemError(errno.ENOMEM, 'write')
      }
      return this.#submitted <= high
    }
    if (n === 0) return true
    collect(this.slot, this.version, bytes)
    return this.#submitted <= high
  }

  /** @internal write() of text. Its bytes when less than the high mark waits, otherwise ~bytes. */
  writeText(text: string, encoding: BufferEncoding): number {
    const high = this.writableHighWaterMark
    const small = text.length <= smallText && this.#submitted + text.length * 4 <= high
    if (!small || this.#assigned || failures[0] !== this.#failures || this.refusal() !== 0) {
      const bytes = Buffer.from(text, encoding)
      return this.write(bytes) ? bytes.length : ~bytes.length
    }
    const n = collectText(this.slot, this.version, text, encoding)
    this.#submitted += n
    return n
  }

  /** @internal The reader of what was read before, if there is any. */
  handToStream(stream: VCStream): IOBufferReader | undefined {
    const unsent = this.#write?.armed ? this.#write.reader : undefined
    if (unsent && unsent.readAvail > 0 && !this.failed) {
      this.write(unsent.read(Math.min(unsent.readAvail, this.#write!.ntodo)))
    }
    if (this.#write) this.doIoWrite(null, 0, null)
    this.duplex = stream
    this.#left = undefined
    const buffer = this.#read?.buffer
    return buffer && !buffer.isFreed ? buffer.onlyReader() : undefined
  }

  /** @internal The stream has let go; what it has read is in the buffer. */
  leaveStream(buffer: MIOBuffer): void {
    this.duplex = undefined
    this.#left = buffer
    this.doIoRead(() => undefined, Infinity, buffer)
  }

  /**
   * Some connection has failed or was closed since this was asked last. Throws the error of this one
   * (SW-1); false: its user cannot know yet, and its armed operations are about to be told.
   */
  #alive(): boolean {
    const seen = failures[0]
    const code = native.failure(this.slot, this.version)
    if (code === 0) {
      this.#failures = seen
      return true
    }
    const told = this.#knows || this.#error !== undefined
    if (!told && (this.reading || this.#write?.armed === true)) return false
    throw this.failedWith(code, 'write')
  }

  /** Asks the engine what really waits, and whether more is taken. */
  #admit(): boolean {
    this.#submitted = this.writableLength
    if (!this.#alive()) return false
    if (this.overcrowded) throw this.errorOf(Code.OVERCROWDED, 'write')
    return true
  }

  /** @internal */
  protected override refusal(): number {
    if (this.#closed) return Code.CLOSED
    if (this.tunnel) return Code.TUNNELED
    return this.#shut & 2 ? Code.SHUT : 0
  }
  /** @internal */
  protected override get keepsAlive(): boolean {
    return this.reactor.wantsRef
  }
  /** @internal */
  protected override get tellsOwner(): 0 | 1 {
    return this.#assigned ? 1 : 0
  }
  /** @internal */
  protected override get end(): { error: NetvcError | undefined } | undefined {
    return this.#closed ? { error: this.#error } : undefined
  }
  /** @internal */
  protected override waits(change: 1 | -1): void {
    this.#waits += change
    if (change === 1) {
      this.becameBusy()
    } else {
      this.pull?.resume()
      lookLater(this)
    }
  }
  /** @internal */
  protected override whenDrained(): void {
    this.#submitted = 0
  }

  override get failure(): NetvcError | undefined {
    const failure = this.#closed ? this.#error : super.failure
    if (failure) this.#knows = true
    return failure
  }

  override setFailed(error?: Error | string): boolean {
    const first = super.setFailed(error)
    this.#knows = true
    return first
  }

  override get writableLength(): number {
    return this.closed ? 0 : super.writableLength
  }

  /**
   * Ends one or both directions: no event of that side follows. Messages given to write() before
   * leave first; bytes of a write operation that were not sent are not flushed. doIoClose() is
   * still needed.
   */
  doIoShutdown(how: ShutdownHow): void {
    const sides = how === 'read' ? 1 : how === 'write' ? 2 : how === 'both' ? 3 : 0
    if (sides === 0) throw wrongType('how', "'read', 'write' or 'both'", how)
    this.assertUsable('doIoShutdown')
    this.#shut |= sides
    if (sides & 1) this.#read?.disarm()
    if (sides & 2) this.#write?.disarm()
    native.shutdown(this.slot, this.version, sides)
    lookLater(this)
  }

  override doIoClose(errno?: number): void {
    if (this.#closed) return
    this.#error ??= super.failure // which nobody knows once it is gone (SK-4)
    super.doIoClose(errno)
    if (this.#assigned) return
    this.#aborted = errno !== undefined
    if (errno === undefined && native.unsent(this.slot, this.version) > 0)
      this.reactor.waitForUnsent()
    this.markClosed(undefined)
  }

  override closeGracefully(timeout?: number): void {
    if (this.#closed) return
    this.#error ??= super.failure
    super.closeGracefully(timeout)
    if (this.#assigned) return
    this.reactor.waitForUnsent()
    this.markClosed(undefined)
  }

  /**
   * Gives the connection to a thread that has called Reactor.register, at any time: its handler
   * gets it as a connection of its own. Nothing is lost or reordered: operations are
   * cancelled, bytes that were read and not consumed (with several readers: by the most advanced
   * one) are read again there, and bytes of a write operation that are in its buffer are sent.
   * No handler of this object is called from the return on; write() and what else needs only an id
   * goes on. Throws ERR_NO_SUCH_WORKER, ERR_NOT_SHARED, or as assertions of the state do.
   */
  override assign(threadId: number): void {
    this.assertUsable('assign')
    const buffer = this.#read?.buffer?.handOver() ?? -1
    assign(this.reactor.seat, this, threadId, true, buffer)
    this.disarm()
    this.#assigned = true
    letGo(this)
    this.reactor.connectionEnded()
  }

  override closeWithReset(): void {
    if (this.#closed) return
    this.#error ??= super.failure
    super.closeWithReset()
    if (this.#assigned) return
    this.#aborted = true
    this.markClosed(undefined)
  }

  /** One-shot: WRITE_BUFFER_EMPTY when the write operation has emptied its buffer (WR-11). */
  trapWriteBufferEmpty(on = true): void {
    this.assertUsable('trapWriteBufferEmpty', 2)
    native.trapWriteBufferEmpty(this.slot, this.version, on ? 1 : 0)
  }

  // --- what the other files of lib use -------------------------------------------------------

  /** @internal */
  protected override disarm(): void {
    this.#read?.disarm()
    this.#write?.disarm()
  }

  /** @internal */
  protected override get howClosed(): 0 | 1 | -1 {
    return this.#aborted ? -1 : this.closed ? 1 : 0
  }

  /** @internal It has another owner: this is a handle, and no more. */
  override get assigned(): boolean {
    return this.#assigned
  }

  /** @internal */
  get reading(): boolean {
    return this.#read?.armed === true
  }

  /** @internal */
  get busy(): boolean {
    return (
      this.#read?.armed === true ||
      this.#write?.armed === true ||
      this.tunnel !== undefined ||
      this.duplex !== undefined ||
      this.#waits > 0
    )
  }

  /** @internal */
  becameBusy(): void {
    if (!this.#closed && !this.#assigned) holdAgain(this)
  }

  /** @internal Takes both operations away from their handlers, for a tunnel; the read buffer, or -1. */
  handOver(tunnel: Tunnel): number {
    const buffer = this.#read?.buffer?.handOver() ?? -1
    this.disarm()
    this.tunnel = tunnel
    this.timeouts = undefined
    this.becameBusy()
    return buffer
  }

  /** @internal */
  override markClosed(error: NetvcError | undefined): void {
    if (this.#closed || this.#assigned) return
    this.#closed = true
    if (error) this.#error = error
    this.disarm()
    letGo(this)
    this.reactor.connectionEnded()
    this.#left?.free()
    this.duplex?.[kLink].gone(error)
  }

  /** @internal */
  onVioEvent(kind: VCEvent, side: number, generation: number, count: number, errno: number): void {
    const vio = (side & 1) === 0 ? this.#read : this.#write
    if (kind === VCEvent.INACTIVITY_TIMEOUT || kind === VCEvent.ACTIVE_TIMEOUT) {
      if (vio?.generation === generation) vio.moved(count)
      // An end of a pair tells one side only: native/binding/js_port.h.
      const reader = side === 3 ? undefined : this.#read
      const writer = side === 2 ? undefined : this.#write
      tellTimeout(kind, errno, this.timeouts, reader, writer)
      return
    }
    // Not armed: it has had its end, and something enabled it once more.
    if (vio?.generation !== generation || !vio.armed) return
    vio.moved(count)
    if (!vio.handler) {
      vio.keep(kind, errno)
      return
    }
    // Told at arming, for bytes of the operation before; its user may have taken them meanwhile.
    if (kind === VCEvent.READ_READY && count === 0 && !hasBytes(vio.buffer)) return
    if (kind >= VCEvent.READ_COMPLETE && kind <= VCEvent.ERROR) {
      if (kind < VCEvent.EOS && vio.ntodo > 0) {
        // nbytes was raised before this was told: not the end, then (INV-3).
        kind = side === 0 ? VCEvent.READ_READY : VCEvent.WRITE_READY
        enable(this.slot, this.version, side)
      } else {
        vio.armed = false
      }
      if (kind >= VCEvent.EOS) {
        vio.ended = true
        this.#error = errno ? this.failedWith(errno, side === 0 ? 'read' : 'write') : undefined
      }
      lookLater(this)
    }
    const { handler } = vio
    if (kind !== VCEvent.WRITE_READY) {
      handler(kind, vio)
      return
    }
    // What the handler adds is taken without a reenable (WR-5), also when it throws then.
    // Its buffer may have been freed since the event was made, or be freed by the handler.
    const buffer = vio.reader?.buffer
    const before = buffer?.isFreed === false ? buffer.produced : 0
    try {
      handler(kind, vio)
    } finally {
      if (vio.generation === generation && buffer?.isFreed === false && buffer.produced !== before)
        enable(this.slot, this.version, 1)
    }
  }

  /** @internal */
  onRecord(kind: number, generation: number, errno: number): void {
    if (kind === Record.BUFFER_FULL) {
      const vio = this.#read
      if (vio?.generation !== generation || !vio.buffer || vio.buffer.isFreed) return
      // The handler may have made room already, before it was known to be needed.
      vio.full = true
      vio.buffer.resumeSource()
    } else {
      this.#ended(errno)
    }
  }

  /** The engine is through with it. What was armed while it ended has been told of nothing (INV-2). */
  #ended(code: number): void {
    const event = code === errno.ECONNRESET ? VCEvent.EOS : VCEvent.ERROR
    try {
      for (const vio of [this.#read, this.#write]) {
        if (code && vio?.armed) this.onVioEvent(event, vio.side, vio.generation, 0, code)
      }
    } finally {
      this.markClosed(code ? this.failedWith(code, 'write') : undefined)
    }
  }

  #armed(vio: VIO): void {
    if (vio.armed) this.becameBusy()
    else lookLater(this)
  }

  /**
   * @internal sides: 1 read, 2 write; the cancel forms are tolerated on a closed connection (VC-1).
   */
  override assertUsable(what: string, sides = 0, cancels = false): void {
    if (this.#closed && cancels) return
    if (this.#assigned) {
      const text = `${what}: the connection was assigned to another thread`
      throw new NetvcError('ERR_VC_NOT_OWNER', text)
    }
    if (this.#closed) throw connectionClosed(what, this.#error)
    if (this.tunnel) throw refusalError(Code.TUNNELED, what)!
    if (this.duplex && takesOver.has(what)) throw readingError(this, what)
    if (this.migrating) {
      const text = `${what}: the connection is on its way to another net thread; await migrate()`
      throw new NetvcError('ERR_VC_MIGRATING', text)
    }
    if (!cancels && this.#shut & sides) {
      const side = this.#shut & sides & 1 ? 'reading' : 'writing'
      throw new NetvcError('ERR_VC_SHUT', `${what}: the ${side} side was shut down`)
    }
  }
}
