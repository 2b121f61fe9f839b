import { markAsUntransferable } from 'node:worker_threads'
import { errno, NetvcError, outOfRange, wrongType } from './errors.js'
import { NativePromise } from './globals.js'
import { fail, IOBufferReader } from './io-buffer-reader.js'
import { native } from './native.js'
import { expectNotice, forget, ignore } from './notices.js'
import { checkBytes, checkOptions } from './options.js'
import { roomView } from './pool.js'
import type { VIO } from './vio.js'

export { IOBufferReader }

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

/** 0..14 for 128 B .. 2 MiB. */
export function sizeIndex(bytes: number): number {
  return Math.max(0, Math.ceil(Math.log2(bytes / 128)))
}

const forgotten = new FinalizationRegistry<number>((handle) => {
  native.freeBuffer(handle)
})

/**
 * A chain of reference-counted blocks with one writer and up to five readers: what a read
 * operation fills, or a write operation drains. Semantics: Apache Traffic Server's MIOBuffer
 * (docs/buffers.md). Bytes that were written never change.
 */
export class MIOBuffer {
  /** @internal */ readonly handle: number
  /** @internal The read operation that fills the buffer: resumed when the buffer was full. */
  source: VIO | undefined
  /** @internal Its bytes are on their way to a tunnel or to another thread: readers stay. */
  handedOver = false
  /** @internal */
  readonly weak = new WeakRef(this)
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

  /** @internal A reader where the most advanced one is; all that there were are deallocated. */
  onlyReader(): IOBufferReader {
    const front = native.onlyReader(this.#live())
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

  /**
   * Lends bytes to the buffer: they are its next ones, and are not copied (BUF-13). Do not change
   * them until the promise resolves, when nothing uses them any more; until then they are kept, and
   * their ArrayBuffer cannot be transferred to another thread, not even later. The promise never
   * rejects, and keeps no process alive.
   */
  lend(bytes: Uint8Array): Promise<void> {
    if (!(bytes instanceof Uint8Array)) throw wrongType('bytes', 'a Uint8Array', bytes)
    const handle = this.#live()
    if (bytes.length === 0) return NativePromise.resolve()
    markAsUntransferable(bytes.buffer)
    const lent = { bytes, released: () => {} } // held by who waits for the notice
    const promise = new NativePromise<void>((resolve) => (lent.released = resolve))
    const token = expectNotice(() => lent.released(), false)
    const n = native.bufferLend(handle, bytes, token)
    if (n < 0) {
      if (n === -errno.ENOMEM)
        ignore(token) // it is told all the same
      else forget(token)
      fail(n, 'lend')
    }
    return promise
  }

  /**
   * Room for bytes that you write yourself, at least one; fill() makes them part of the buffer. A
   * view on memory of the buffer: valid until the next call that adds to it, or gives it to an
   * operation. Ignores the water mark, as write() does.
   */
  reserve(): Buffer {
    const room = roomView(this.#live())
    return typeof room === 'number' ? fail(room, 'reserve') : room
  }

  /** Adds n bytes that were put into the room of reserve(). Throws ERR_OUT_OF_RANGE for more. */
  fill(n: number): void {
    checkBytes(n, 'n')
    const r = native.bufferFill(this.#live(), n)
    if (r === -errno.ERANGE)
      throw outOfRange('n', `at most writeAvail (${String(this.writeAvail)})`, n)
    if (r < 0) fail(r, 'fill')
  }

  /**
   * Adds bytes of a reader without consuming them: by reference, but small pieces, and pieces that
   * would keep much larger blocks alive, by copy. Returns their number.
   */
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
  /** True while the room in the blocks that exist is no more than waterMark (BUF-8). */
  get currentLowWater(): boolean {
    const n = native.bufferInfo(this.#live(), 7)
    return n < 0 ? fail(n, 'currentLowWater') : n === 1
  }
  get waterMark(): number {
    return native.bufferInfo(this.#live(), 2)
  }
  set waterMark(bytes: number) {
    checkBytes(bytes, 'waterMark')
    const n = native.setWaterMark(this.#live(), bytes)
    if (n < 0) fail(n, 'waterMark')
    if (this.source?.full === true) this.source.reenable() // who fills it looks at the new mark
  }
  /** Bytes ever written. */
  get produced(): number {
    return native.bufferInfo(this.#live(), 5)
  }
  get readerCount(): number {
    return native.bufferInfo(this.#live(), 4)
  }

  /** Removes all readers: what they held back can be freed. Each of them throws from then on. */
  deallocAllReaders(): void {
    const n = native.deallocAllReaders(this.#live())
    if (n < 0) fail(n, 'deallocAllReaders')
    this.resumeSource()
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

  /**
   * @internal What held the buffer full may be gone: then its read operation goes on. What "full"
   * is, is known natively, by who fills it (MIOBuffer::stop_above).
   */
  resumeSource(): void {
    const { source } = this
    if (source?.full === true && native.bufferInfo(this.handle, 6) === 0) source.reenable()
  }

  #live(): number {
    if (this.#freed) throw new NetvcError('ERR_BUFFER_FREED', 'the buffer was freed')
    return this.handle
  }
  /** @internal For the engine, which takes what is unread; its handle, -1 when it was freed. */
  handOver(): number {
    this.handedOver = true
    return this.#freed ? -1 : this.handle
  }
  /** @internal */
  get isFreed(): boolean {
    return this.#freed
  }
}

/** A Uint8Array as it is, a string as UTF-8; anything else is an error. */
export function toBytes(data: unknown, name: string): Uint8Array {
  if (data instanceof Uint8Array) return data
  if (typeof data === 'string') return Buffer.from(data)
  throw wrongType(name, 'a Uint8Array (or Buffer) or a string', data)
}
