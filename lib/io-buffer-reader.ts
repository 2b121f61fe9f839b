import { errno, NetvcError, outOfRange, systemError, wrongType } from './errors.js'
import type { MIOBuffer } from './mio-buffer.js'
import { native } from './native.js'
import { checkBytes } from './options.js'
import { borrow, readCopy } from './pool.js'

const nothing = Buffer.alloc(0)

interface ForgottenReader {
  buffer: WeakRef<MIOBuffer>
  index: number
}

// A reader that nobody has any more would hold its bytes, and stop a read operation, for ever.
const forgottenReaders = new FinalizationRegistry<ForgottenReader>((reader) => {
  const buffer = reader.buffer.deref()
  if (!buffer || buffer.isFreed || buffer.handedOver) return
  if (native.deallocReader(buffer.handle, reader.index, 1) === -errno.EBUSY) {
    forgottenReaders.register({}, reader) // an operation uses it: with the next collection
  } else {
    buffer.resumeSource()
  }
})

const busy =
  'a net thread uses this side of the buffer; wait for the end of the operation, or close the connection first'

/** @internal What a negative answer of native code means. */
export function fail(n: number, what: string): never {
  if (n === -errno.EBUSY) throw new NetvcError('ERR_BUFFER_BUSY', `${what}: ${busy}`)
  if (n === -errno.ENOMEM) throw systemError(n, what)
  throw new NetvcError('ERR_READER_CLOSED', `${what}: the reader was deallocated`)
}

/** One consumer's position in a MIOBuffer. Made by allocReader() and clone(). */
export class IOBufferReader {
  /** @internal */
  constructor(
    readonly buffer: MIOBuffer,
    /** @internal Its number in the buffer; -1 once it was given up. */ public index: number,
  ) {
    forgottenReaders.register(this, { buffer: buffer.weak, index }, this)
  }

  /** Bytes that can be read now. */
  get readAvail(): number {
    const n = native.readAvail(this.#handle(), this.index)
    return n < 0 ? fail(n, 'readAvail') : n
  }

  /** Whether more than n bytes can be read now. */
  isReadAvailMoreThan(n: number): boolean {
    checkBytes(n, 'n')
    return this.readAvail > n
  }
  /** Bytes that lie together at the position: what borrow() shows. */
  get blockReadAvail(): number {
    return this.#info(0, 'blockReadAvail')
  }
  /** Blocks that what can be read lies in. */
  get blockCount(): number {
    return this.#info(1, 'blockCount')
  }
  /** Whether at least waterMark bytes can be read (BUF-8). */
  get highWater(): boolean {
    return this.#info(2, 'highWater') === 1
  }
  /** The byte at an offset from the position. Throws ERR_OUT_OF_RANGE unless 0 <= i < readAvail. */
  byteAt(i: number): number {
    checkBytes(i, 'i')
    const byte = native.readerInfo(this.#handle(), this.index, 3, i)
    if (byte === -errno.ERANGE)
      throw outOfRange('i', `less than readAvail (${String(this.readAvail)})`, i)
    return byte < 0 ? fail(byte, 'byteAt') : byte
  }

  #info(what: number, name: string): number {
    const n = native.readerInfo(this.#handle(), this.index, what, 0)
    return n < 0 ? fail(n, name) : n
  }

  /** Copies and consumes up to n bytes (all there are by default). The Buffer is yours for ever. */
  read(n = Infinity): Buffer {
    if (n !== Infinity) checkBytes(n, 'n')
    const bytes = readCopy(this.#handle(), this.index, n)
    if (typeof bytes === 'number') return fail(bytes, 'read')
    this.resumeSource()
    return bytes
  }

  /** Copies and consumes up to target.length bytes, into memory of your own. Returns their number. */
  readInto(target: Uint8Array): number {
    if (!(target instanceof Uint8Array)) throw wrongType('target', 'a Uint8Array', target)
    const n = native.readInto(this.#handle(), this.index, target, 1, 0)
    if (n < 0) return fail(n, 'readInto')
    this.resumeSource()
    return n
  }

  /** Copies up to target.length bytes from offset, without consuming. Returns their number. */
  peek(target: Uint8Array, offset = 0): number {
    if (!(target instanceof Uint8Array)) throw wrongType('target', 'a Uint8Array', target)
    checkBytes(offset, 'offset')
    const n = native.readInto(this.#handle(), this.index, target, 0, offset)
    return n < 0 ? fail(n, 'peek') : n
  }

  /**
   * The contiguous bytes at the position, neither copied nor consumed: a view on memory that is
   * used again later. Valid until consume(), or the end of the handler; never keep it.
   * NETVC_DEBUG=borrow hands out copies, to find who does.
   */
  borrow(): Buffer {
    const bytes = borrow(this.#handle(), this.index)
    if (typeof bytes !== 'number') return bytes
    if (bytes === 0) return nothing
    return bytes === -errno.ENOTSUP ? this.#copyOfFirstBlock() : fail(bytes, 'borrow')
  }

  #copyOfFirstBlock(): Buffer {
    const copy = Buffer.alloc(Math.min(this.readAvail, 64 * 1024))
    return copy.subarray(0, this.peek(copy))
  }

  /** Drops n bytes. Throws ERR_OUT_OF_RANGE unless 0 <= n <= readAvail. */
  consume(n: number): void {
    checkBytes(n, 'n')
    const r = native.consume(this.#handle(), this.index, n)
    if (r === -errno.ERANGE)
      throw outOfRange('n', `at most readAvail (${String(this.readAvail)})`, n)
    if (r < 0) fail(r, 'consume')
    this.resumeSource()
  }

  /** Drops everything that can be read. */
  reset(): void {
    this.consume(this.readAvail)
  }

  /** Offset from the position of a byte within the next n bytes from offset, or -1. */
  indexOf(byte: number, n = Infinity, offset = 0): number {
    if (!Number.isInteger(byte) || byte < 0 || byte > 255) throw outOfRange('byte', 'a byte', byte)
    checkBytes(n, 'n')
    checkBytes(offset, 'offset')
    const at = native.memchr(this.#handle(), this.index, byte, n, offset)
    return at < -1 ? fail(at, 'indexOf') : at
  }

  /** readAvail never says more than this; consuming lowers it. Default Infinity. */
  get sizeLimit(): number {
    const n = native.sizeLimit(this.#handle(), this.index, -1)
    return n < 0 ? fail(n, 'sizeLimit') : n
  }
  set sizeLimit(bytes: number) {
    checkBytes(bytes, 'sizeLimit')
    const n = native.sizeLimit(this.#handle(), this.index, bytes)
    if (n < 0) fail(n, 'sizeLimit')
    this.resumeSource()
  }

  /** A reader at the same position with the same sizeLimit. */
  clone(): IOBufferReader {
    return this.buffer.cloneReader(this.index)
  }

  /** Removes the reader: what it held back can be freed. */
  dealloc(): void {
    const n = native.deallocReader(this.#handle(), this.index, 0)
    if (n < 0) fail(n, 'dealloc')
    this.index = -1
    forgottenReaders.unregister(this)
    this.resumeSource()
  }

  #handle(): number {
    if (this.buffer.isFreed) throw new NetvcError('ERR_BUFFER_FREED', 'the buffer was freed')
    return this.buffer.handle
  }

  /** @internal Bytes were consumed: reading goes on if it had stopped. */
  resumeSource(): void {
    this.buffer.resumeSource()
  }
}
