import { VCEvent } from './events.js'
import { IOBufferReader, MIOBuffer } from './mio-buffer.js'
import { native } from './native.js'
import { checkBytes } from './options.js'
import { NetvcArgumentError, NetvcError, wrongType } from './errors.js'
import { readingError } from './pull-reader.js'
import type { VConnection } from './vconnection.js'

/** Who is told of the events of an operation: a function, or an object with handleEvent. */
export type VIOHandler =
  ((event: VCEvent, vio: VIO) => void) | { handleEvent(event: VCEvent, vio: VIO): void }

/** @internal The handler as a function, or undefined for null. */
export function handlerFunction(
  handler: unknown,
): ((event: VCEvent, vio: VIO) => void) | undefined {
  if (handler === null || handler === undefined) return undefined
  if (typeof handler === 'function') return handler as (event: VCEvent, vio: VIO) => void
  const target = handler as { handleEvent?: unknown }
  if (typeof handler === 'object' && typeof target.handleEvent === 'function') {
    return (event, vio) => {
      ;(target as { handleEvent(event: VCEvent, vio: VIO): void }).handleEvent(event, vio)
    }
  }
  throw wrongType('handler', 'a function, an object with a handleEvent method, or null', handler)
}

/** @internal Lets a direction go on. */
export function enable(slot: number, version: number, side: number): void {
  if (side === 0) native.reenableRead(slot, version)
  else native.reenableWrite(slot, version)
}

// Of all operations of this thread, so that a record of an operation never reaches another one:
// a connection that was given away and came back is another object with the same id.
let lastGeneration = 0

/**
 * One direction of I/O on a connection: how many bytes are wanted, how many have moved, and where
 * they go to or come from. The same object for the life of its connection; doIoRead and doIoWrite
 * arm it anew. Semantics: Apache Traffic Server's VIO (docs/vio.md).
 *
 * ndone is what was told: the engine may be further.
 */
export class VIO {
  /** @internal */ generation = 0
  /** @internal */ handler: ((event: VCEvent, vio: VIO) => void) | undefined
  /** @internal Told neither COMPLETE, EOS nor ERROR, and not cancelled. */ armed = false
  /** @internal EOS or ERROR was told: only another doIoRead or doIoWrite arms it again. */ ended = false
  /** @internal The engine has stopped reading because the buffer is full. */ full = false
  /** @internal Told once, when the operation is replaced or cancelled, also by the connection's end. */
  lost: (() => void) | undefined
  // The engine may have disabled the operation without saying so.
  #unsure = false
  #finishing = false
  #nbytes = 0
  #ndone = 0
  #buffer: MIOBuffer | undefined
  #reader: IOBufferReader | undefined
  // What came while nobody was to be told.
  #keptReady: VCEvent | undefined
  #keptEnd: VCEvent | undefined
  #keptErrno = 0

  /** @internal */
  constructor(
    /** The connection it belongs to. */
    readonly vc: VConnection,
    /** Whether it reads (0) or writes (1). */
    readonly side: 0 | 1,
  ) {}

  /** The buffer of a read operation; undefined for one that writes, or has none. */
  get buffer(): MIOBuffer | undefined {
    return this.#buffer
  }
  /**
   * The operation goes on into another buffer (VIO-1); undefined takes it away, and reading stops
   * until there is one again. A net thread takes the new one at its next activation: what it had
   * read before is in the old one. Throws ERR_INVALID_ARG_VALUE for an operation that writes.
   */
  set buffer(buffer: MIOBuffer | null | undefined) {
    const to = buffer ?? undefined
    if (to !== undefined && !(to instanceof MIOBuffer)) {
      throw wrongType('buffer', 'a MIOBuffer or undefined', to)
    }
    this.#ofSide(0, 'buffer')
    if (to?.isFreed === true) throw new NetvcError('ERR_BUFFER_FREED', 'the buffer was freed')
    this.#exchange(to, undefined)
  }

  /** The reader of a write operation; undefined for one that reads, or has none. */
  get reader(): IOBufferReader | undefined {
    return this.#reader
  }
  /** As buffer, for an operation that writes: it goes on with what this reader has. */
  set reader(reader: IOBufferReader | null | undefined) {
    const to = reader ?? undefined
    if (to !== undefined && !(to instanceof IOBufferReader)) {
      throw wrongType('reader', 'an IOBufferReader or undefined', to)
    }
    this.#ofSide(1, 'reader')
    if (to) void to.readAvail // throws when it, or its buffer, is gone
    this.#exchange(undefined, to)
  }

  #ofSide(side: 0 | 1, what: string): void {
    if (this.side !== side) {
      const [does, other] = side === 0 ? ['writes', 'reader'] : ['reads', 'buffer']
      throw new NetvcArgumentError(
        'ERR_INVALID_ARG_VALUE',
        `${what}: this operation ${does}; set its ${other}`,
      )
    }
    this.vc.assertUsable(what, side + 1)
    if (side === 0 && (this.vc.pull ?? this.vc.duplex)) throw readingError(this.vc, what)
  }

  #exchange(buffer: MIOBuffer | undefined, reader: IOBufferReader | undefined): void {
    this.use(buffer, reader)
    this.#unsure = true
    const handle = buffer?.handle ?? reader?.buffer.handle ?? -1
    const { slot, version } = this.vc
    native.setBuffer(slot, version, this.side, this.generation, handle, reader?.index ?? -1)
  }

  /** Bytes moved by this operation; never more than nbytes was. */
  get ndone(): number {
    return this.#ndone
  }

  /** Bytes wanted; Infinity: until the peer ends. */
  get nbytes(): number {
    return this.#nbytes
  }
  /**
   * May be changed inside a handler of this operation and outside: the engine looks again at its
   * next activation. At or below ndone: the operation ends without an event. Raised after
   * COMPLETE, and reenabled: it goes on.
   */
  set nbytes(n: number) {
    checkBytes(n, 'nbytes')
    this.vc.assertUsable('nbytes')
    this.#nbytes = n
    this.#unsure = true
    native.setNbytes(this.vc.slot, this.vc.version, this.side, this.generation, n)
  }

  /** nbytes - ndone. */
  get ntodo(): number {
    return this.#nbytes - this.#ndone
  }

  /** The buffer has room again (read), or bytes (write): go on. Needless calls cost, but do no harm. */
  reenable(): void {
    if (this.vc.assigned || this.vc.closed || this.vc.tunnel) this.vc.assertUsable('reenable')
    // An armed read operation goes on by itself until its buffer is full, which is told.
    if (this.side === 0 && this.armed && !this.full && !this.#unsure) return
    this.full = false
    this.#unsure = false
    if (!this.armed && this.ntodo > 0 && this.handler) this.markArmed()
    enable(this.vc.slot, this.vc.version, this.side)
  }

  /**
   * Like reenable, but on the inline engine the I/O is done, and its handlers are called, before it
   * returns (RE-5). On net threads it is reenable().
   */
  reenableRe(): void {
    this.vc.assertUsable('reenableRe')
    this.full = false
    if (!this.armed && this.ntodo > 0 && this.handler) this.markArmed()
    native.reenableRe(this.vc.slot, this.vc.version, this.side)
  }

  /** Ends the operation with what there is: a write operation sends what its reader has (VIO-2). */
  done(): void {
    this.vc.assertUsable('done')
    // The engine knows how far it is; we only what was told. The next events correct nbytes.
    this.#finishing = true
    const { reader } = this
    const known = this.side === 1 && reader && reader.index >= 0 && !reader.buffer.isFreed
    this.#nbytes = this.#ndone + (known ? reader.readAvail : 0)
    this.#unsure = true
    native.done(this.vc.slot, this.vc.version, this.side, this.generation)
  }

  /**
   * The next event goes to another handler (VIO-5). null: nothing is read, written or told until
   * there is one again; then the operation goes on by itself, and what was on its way is told first.
   */
  setContinuation(handler: VIOHandler | null): void {
    const call = handlerFunction(handler)
    this.vc.assertUsable('setContinuation')
    if (this.side === 0 && (this.vc.pull ?? this.vc.duplex)) {
      throw readingError(this.vc, 'setContinuation')
    }
    const changes = (this.handler === undefined) !== (call === undefined)
    this.handler = call
    if (!changes) return
    const { slot, version } = this.vc
    const { side, generation } = this
    if (call === undefined) {
      native.setContinuation(slot, version, side, generation, 0, 0, 0, 0)
      return
    }
    const ready = this.#keptReady ?? 0
    const end = this.#keptEnd ?? 0
    this.#keptReady = this.#keptEnd = undefined
    if (!this.armed && this.ntodo > 0 && (this.#buffer ?? this.#reader)) this.markArmed()
    native.setContinuation(slot, version, side, generation, 1, ready, end, this.#keptErrno)
  }

  /** @internal An event that nobody is to be told now: its operation was silenced. */
  keep(event: VCEvent, errno: number): void {
    if (event >= VCEvent.READ_COMPLETE && event <= VCEvent.ERROR) {
      this.#keptEnd = event
      this.#keptErrno = errno
    } else if (this.#keptReady !== VCEvent.WRITE_BUFFER_EMPTY) {
      this.#keptReady = event
    }
  }

  /** @internal What it reads into, or writes from, without telling the engine. */
  use(buffer: MIOBuffer | undefined, reader: IOBufferReader | undefined): void {
    // Another connection may fill it by now.
    if (this.#buffer?.source === this) this.#buffer.source = undefined
    this.#buffer = buffer
    this.#reader = reader
    this.full = false
    if (buffer) buffer.source = this
  }

  /** @internal */
  arm(handler: ((event: VCEvent, vio: VIO) => void) | undefined, nbytes: number): void {
    this.generation = lastGeneration = (lastGeneration + 1) | 0
    this.handler = handler
    this.#nbytes = nbytes
    this.#ndone = 0
    this.full = false
    this.ended = false
    this.#unsure = false
    this.#finishing = false
    this.#keptReady = this.#keptEnd = undefined
    this.armed = handler !== undefined && nbytes > 0
    if (!this.lost) return
    const { lost } = this
    this.lost = undefined
    lost()
  }

  /** @internal */
  disarm(): void {
    this.arm(undefined, 0)
    this.use(undefined, undefined)
  }

  /** @internal */
  moved(bytes: number): void {
    this.#ndone += bytes
    if (this.#finishing && this.#nbytes < this.#ndone) this.#nbytes = this.#ndone
  }

  private markArmed(): void {
    if (this.ended) return
    this.armed = true
    this.vc.becameBusy()
  }
}
