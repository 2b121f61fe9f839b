import { errno, NetvcError, outOfRange, wrongType } from './errors.js'
import { native } from './native.js'
import { checkBytes, checkOptions } from './options.js'
import { borrow, readCopy } from './pool.js'
import type { VIO } from './vio.js'

export interface MIOBufferOptions {
  /** Size of the blocks it adds, in bytes; rounded up to a power of two from 128 B to 2 MiB. Default 32 KiB. */
  blockSize?: number
  /**
   * Reading stops while more than so many bytes are unread (and the last block is full). Default
   * 64 KiB. 0: one block at a time.
   */
  waterMark?: number
}

const defaultBlockSize = 32 * 1024
const defaultWaterMark = 64 * 1024
const maxReaders = 5

/** 0..14 for 128 B .. 2 MiB. */
export function sizeIndex(bytes: number): number {
  return Math.max(0, Math.ceil(Math.log2(bytes / 128)))
}

const nothing = Buffer.alloc(0)

const forgotten = new FinalizationRegistry<number>((handle) => {
  native.freeBuffer(handle)
})

const busy =
  'a net thread uses this side of the buffer; wait for the end of the operation, or close the connection first'

function fail(n: number, what: string): never {
  if (n === -errno.EBUSY) throw new NetvcError('ERR_BUFFER_BUSY', `${what}: ${busy}`)
  throw new NetvcError('ERR_READER_CLOSED', `${what}: the reader was deallocated`)
}

/**
 * A chain of reference-counted blocks with one writer and up to five readers: what a read
 * operation fills, or a write operation drains. Semantics: Apache Traffic Server's MIOBuffer
 * (docs/buffers.md). Bytes that were written never change.
 */
export class MIOBuffer {
  /** @internal */ readonly handle: number
  /** @internal The read operation that fills the buffer: resumed when the buffer was full. */
  source: VIO | undefined
  #freed = false

  constructor(options?: MIOBufferOptions) {
    checkOptions('buffer', options)
    const { blockSize = defaultBlockSize, waterMark = defaultWaterMark } = options ?? {}
    this.handle = native.createBuffer(sizeIndex(blockSize), waterMark)
    forgotten.register(this, this.handle, this)
  }

  /**
   * A new reader. On a fresh buffer it starts at byte 0, later at the beginning of the block that
   * is being written (BUF-2). Throws ERR_TOO_MANY_READERS for the sixth.
   */
  allocReader(): IOBufferReader {
    return new IOBufferReader(this, this.#reader(native.allocReader(this.#live())))
  }

  /** @internal */
  cloneReader(index: number): IOBufferReader {
    return new IOBufferReader(this, this.#reader(native.cloneReader(this.#live(), index)))
  }

  /** @internal The most advanced of its readers; the others are deallocated. */
  onlyReader(): IOBufferReader {
    let front = -1
    let least = Infinity
    for (let i = 0; i < maxReaders; i++) {
      const avail = native.readAvail(this.#live(), i)
      if (avail < 0) continue
      if (avail < least) {
        if (front >= 0) native.deallocReader(this.handle, front)
        front = i
        least = avail
      } else {
        native.deallocReader(this.handle, i)
      }
    }
    return front < 0 ? this.allocReader() : new IOBufferReader(this, front)
  }

  #reader(index: number): number {
    if (index === -errno.EMFILE) {
      throw new NetvcError(
        'ERR_TOO_MANY_READERS',
        'a buffer has at most five readers; dealloc() one',
      )
    }
    return index < 0 ? fail(index, 'allocReader') : index
  }

  /** Copies bytes (a string as UTF-8) to the end, whatever the water mark. Returns their number. */
  write(bytes: Uint8Array | string): number {
    const data = toBytes(bytes, 'bytes')
    const n = native.bufferWrite(this.#live(), data)
    return n < 0 ? fail(n, 'write') : n
  }

  /** Adds bytes of a reader by reference, without copying or consuming them. Returns their number. */
  writeFrom(reader: IOBufferReader, n = Infinity, offset = 0): number {
    if (!(reader instanceof IOBufferReader)) throw wrongType('reader', 'an IOBufferReader', reader)
    checkBytes(n, 'n')
    checkBytes(offset, 'offset')
    const added = native.bufferWriteFrom(
      this.#live(),
      reader.buffer.#live(),
      reader.index,
      n,
      offset,
    )
    return added < 0 ? fail(added, 'writeFrom') : added
  }

  /** Unread bytes of the slowest reader. */
  get maxReadAvail(): number {
    return native.bufferInfo(this.#live(), 0)
  }
  /** Room in the blocks that exist; a full buffer may still add one. */
  get writeAvail(): number {
    return Math.max(0, native.bufferInfo(this.#live(), 1))
  }
  /** True while reading has to stop: maxReadAvail > waterMark. */
  get highWater(): boolean {
    return native.bufferInfo(this.#live(), 3) === 1
  }
  get waterMark(): number {
    return native.bufferInfo(this.#live(), 2)
  }
  set waterMark(bytes: number) {
    checkBytes(bytes, 'waterMark')
    const n = native.setWaterMark(this.#live(), bytes)
    if (n < 0) fail(n, 'waterMark')
  }
  /** Bytes ever written. */
  get produced(): number {
    return native.bufferInfo(this.#live(), 5)
  }
  get readerCount(): number {
    return native.bufferInfo(this.#live(), 4)
  }

  /**
   * Gives up the buffer now instead of when it is garbage collected. Operations that use it keep
   * their hold; every later call on it throws ERR_BUFFER_FREED.
   */
  free(): void {
    if (this.#freed) return
    this.#freed = true
    forgotten.unregister(this)
    native.freeBuffer(this.handle)
  }

  #live(): number {
    if (this.#freed) throw new NetvcError('ERR_BUFFER_FREED', 'the buffer was freed')
    return this.handle
  }
  /** @internal */
  get isFreed(): boolean {
    return this.#freed
  }
}

/** One consumer's position in a MIOBuffer. Made by allocReader() and clone(). */
export class IOBufferReader {
  /** @internal */
  constructor(
    readonly buffer: MIOBuffer,
    /** @internal Its place in the buffer; -1 once it was given up. */ public index: number,
  ) {}

  /** Bytes that can be read now. */
  get readAvail(): number {
    const n = native.readAvail(this.#handle(), this.index)
    return n < 0 ? fail(n, 'readAvail') : n
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
  }

  /** A reader at the same position with the same sizeLimit. */
  clone(): IOBufferReader {
    return this.buffer.cloneReader(this.index)
  }

  /** Removes the reader: what it held back can be freed. */
  dealloc(): void {
    const n = native.deallocReader(this.#handle(), this.index)
    if (n < 0) fail(n, 'dealloc')
    this.index = -1 // the place may become another reader's
  }

  #handle(): number {
    if (this.buffer.isFreed) throw new NetvcError('ERR_BUFFER_FREED', 'the buffer was freed')
    return this.buffer.handle
  }

  /** @internal Bytes were consumed: reading goes on if it had stopped. */
  resumeSource(): void {
    const { source } = this.buffer
    if (source?.full === true && !this.buffer.highWater) source.reenable()
  }
}

/** A Uint8Array as it is, a string as UTF-8; anything else is an error. */
export function toBytes(data: unknown, name: string): Uint8Array {
  if (data instanceof Uint8Array) return data
  if (typeof data === 'string') return Buffer.from(data)
  throw wrongType(name, 'a Uint8Array (or Buffer) or a string', data)
}
