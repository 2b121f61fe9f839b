import type { BlockList, OnReadOpts } from 'node:net'
import { errno } from '../errors.js'
import { nextTick } from '../globals.js'
import { tell } from '../loop.js'
import type { IOBufferReader } from '../mio-buffer.js'
import { native } from '../native.js'
import { systemErrorOf } from '../stream-errors.js'
import { StreamLink } from '../stream-link.js'
import type { Attempt } from './attempt.js'
import { discount } from './engine.js'

/** A server, as its sockets know it. */
export interface Owner {
  connectionEnded(): void
}

/** What a socket of netvc/net has beside a stream: an owner, attempts to connect, onread. */
export class SocketLink extends StreamLink {
  owner: Owner | undefined
  onread: OnReadOpts | undefined
  blockList: BlockList | undefined
  signal: AbortSignal | undefined
  #attempt: Attempt | undefined
  /** Where onread has read to. */
  #buffer: Uint8Array | undefined

  /** The attempt to connect that is under way. */
  get attempt(): Attempt | undefined {
    return this.#attempt
  }
  set attempt(attempt: Attempt | undefined) {
    this.#attempt = attempt
    this.#countAttempt()
  }

  /** There is a connection, or an attempt to have one. */
  get isOpen(): boolean {
    return !this.stream.destroyed && (this.vc !== undefined || this.expected)
  }

  override setRef(on: boolean): void {
    super.setRef(on)
    this.#countAttempt()
  }

  /** An attempt of a socket that was unref'ed does not keep the thread alive. */
  #countAttempt(): void {
    if (this.vc !== undefined) return
    const without = this.#attempt !== undefined && !this.isRef
    if (without === this.counted) return
    this.counted = without
    discount(without ? 1 : -1)
  }

  /** With onread nothing is told on the user's stack: as by a read of the system, a moment later. */
  override read(): void {
    if (this.onread === undefined || this.upper || !this.held || this.vc === undefined) {
      super.read()
      return
    }
    this.wanted = true
    nextTick(() => {
      this.within(() => {
        if (this.wanted) super.read()
      })
    })
  }

  override deliver(reader: IOBufferReader, told: boolean): void {
    if (this.onread === undefined || this.upper) super.deliver(reader, told)
    else this.#deliverTo(this.onread, reader)
  }

  #deliverTo(onread: OnReadOpts, reader: IOBufferReader): void {
    while (this.wanted && this.reader === reader && reader.readAvail > 0) {
      const into = this.#nextBuffer(onread)
      const n =
        into === undefined ? 0 : native.readInto(reader.buffer.handle, reader.index, into, 1, 0)
      if (n <= 0) {
        this.stream.destroy(systemErrorOf(errno.ENOBUFS, 'read'))
        return
      }
      reader.resumeSource()
      this.bytesIn += n
      tell(() => {
        // One that throws has not said false.
        if (onread.callback.call(this.stream, n, into!) === false) this.wanted = false
      })
    }
    if (this.reader === reader) this.held = reader.readAvail > 0
    if (!this.wanted) this.settle()
  }

  /** The one before, when the user's function throws or answers with something else. */
  #nextBuffer({ buffer }: OnReadOpts): Uint8Array | undefined {
    tell(() => {
      const next: unknown = typeof buffer === 'function' ? buffer() : buffer
      if (next instanceof Uint8Array) this.#buffer = next
    })
    return this.#buffer
  }

  override destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#attempt?.cancel()
    this.attempt = undefined
    const { owner } = this
    this.owner = undefined
    super.destroy(error, callback)
    owner?.connectionEnded()
  }
}
