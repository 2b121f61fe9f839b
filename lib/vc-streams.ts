import type { ReadableStream, WritableStream } from 'node:stream/web'
import { VCControl } from './control.js'
import { iterate } from './iterate.js'
import { checkOptions } from './options.js'
import { readingError, type PullReader } from './pull-reader.js'
import { kLink, VCStream, type VCStreamOptions } from './stream.js'
import type { VConnection } from './vconnection.js'
import { webStreams } from './web-streams.js'

/** A VConnection as the streams that others know: docs/streams.md. */
export abstract class VCStreams extends VCControl {
  /** @internal The stream that has taken it. */ duplex: VCStream | undefined
  /** @internal Reads instead of the user of doIoRead. */ pull: PullReader | undefined

  get #self(): VConnection {
    return this as unknown as VConnection
  }

  /**
   * The connection as a stream of Node: net.Socket's methods, properties and order of events. The
   * stream has both directions from now on, and closes the connection at its end. What a read
   * operation has read and nobody has consumed comes first; its buffer is the stream's then. Later
   * calls give the same stream. Throws ERR_VC_READING when a loop or `readable` reads it.
   */
  stream(options?: VCStreamOptions): VCStream {
    if (this.duplex) return this.duplex
    checkOptions('stream', options)
    this.assertUsable('stream')
    if (this.pull) throw readingError(this.#self, 'stream')
    const stream = new VCStream(options)
    stream[kLink].attach(this.#self)
    stream[kLink].startReading()
    return stream
  }

  /**
   * The bytes as they come, each chunk yours for ever; the peer is held back while nobody asks. The
   * end of the peer's side ends the loop, and leaves the connection open for writing. A failure,
   * and a timeout of the connection, is thrown behind the last byte, and closes it; so do `break` and
   * errors of the loop's body, unless a tunnel or another thread has it by then. Throws
   * ERR_VC_READING when it is read otherwise.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer, undefined> {
    return iterate(this.#self)
  }
  /**
   * A ReadableStream of bytes, the same one each time; readers with buffers of their own ("byob") get
   * them filled without another copy. cancel() shuts the reading side down. When this and `writable`
   * were both taken and are both through, the connection is closed. Throws ERR_VC_READING when it is
   * read otherwise.
   */
  get readable(): ReadableStream<Uint8Array> {
    return webStreams(this.#self).readable
  }
  /**
   * A WritableStream, the same one each time: its write() waits while more than the high mark is
   * unsent, close() sends FIN and resolves when the kernel has everything, abort() resets the connection.
   */
  get writable(): WritableStream<Uint8Array | string> {
    return webStreams(this.#self).writable
  }
}
