import type { VCEvent } from './events.js'
import type { IOBufferReader, MIOBuffer } from './mio-buffer.js'
import { native } from './native.js'
import { checkBytes } from './options.js'
import { wrongType } from './errors.js'
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

  /** The buffer of a read operation. */
  buffer: MIOBuffer | undefined
  /** The reader of a write operation. */
  reader: IOBufferReader | undefined

  /** @internal */
  constructor(
    /** The connection it belongs to. */
    readonly vc: VConnection,
    /** Whether it reads (0) or writes (1). */
    readonly side: 0 | 1,
  ) {}

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

  /** The next event goes to another handler; null silences the operation until there is one again. */
  setContinuation(handler: VIOHandler | null): void {
    const call = handlerFunction(handler)
    this.vc.assertUsable('setContinuation')
    this.handler = call
  }

  /** @internal */
  arm(handler: ((event: VCEvent, vio: VIO) => void) | undefined, nbytes: number): void {
    this.generation = (this.generation + 1) | 0
    this.handler = handler
    this.#nbytes = nbytes
    this.#ndone = 0
    this.full = false
    this.ended = false
    this.#unsure = false
    this.#finishing = false
    this.armed = handler !== undefined && nbytes > 0
    if (!this.lost) return
    const { lost } = this
    this.lost = undefined
    lost()
  }

  /** @internal */
  disarm(): void {
    this.arm(undefined, 0)
    this.buffer = undefined
    this.reader = undefined
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
