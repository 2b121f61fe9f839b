import type { BlockList, OnReadOpts } from 'node:net'
import type { IOBufferReader } from '../mio-buffer.js'
import { native } from '../native.js'
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

  /** The attempt to connect that is under way. */
  get attempt(): Attempt | undefined {
    return this.#attempt
  }
  set attempt(attempt: Attempt | undefined) {
    this.#attempt = attempt
    this.#countAttempt()
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

  override deliver(reader: IOBufferReader): void {
    const { onread } = this
    if (onread === undefined || this.upper) {
      super.deliver(reader)
      return
    }
    const { handle } = reader.buffer
    while (this.wanted && this.reader === reader && reader.readAvail > 0) {
      const { buffer } = onread
      const into = typeof buffer === 'function' ? buffer() : buffer
      const n = native.readInto(handle, reader.index, into, 1, 0)
      reader.resumeSource()
      if (n <= 0) break
      this.bytesIn += n
      if (onread.callback.call(this.stream, n, into) === false) this.wanted = false
    }
    if (this.reader === reader) this.held = reader.readAvail > 0
    if (!this.wanted) this.settle()
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
