import {
  ReadableStream,
  WritableStream,
  type ReadableByteStreamController,
  type WritableStreamDefaultController,
} from 'node:stream/web'
import { pullReader } from './pull-reader.js'
import type { VConnection } from './vconnection.js'

/** Bytes of one chunk for a reader that has not brought its own buffer. */
const chunkBytes = 64 * 1024
/** Bytes that a WritableStream takes while the connection's own high mark is exceeded. */
const queueBytes = 64 * 1024

const streams = new WeakMap<VConnection, WebStreams>()

/** @internal Of one connection, each made when it is asked for first. */
export function webStreams(vc: VConnection): WebStreams {
  let both = streams.get(vc)
  if (!both) streams.set(vc, (both = new WebStreams(vc)))
  return both
}

/** What is neither is refused by write(). */
const sizeOf = (chunk: unknown) =>
  chunk instanceof Uint8Array || typeof chunk === 'string' ? chunk.length : 0

class WebStreams {
  readonly #vc: VConnection
  #readable: ReadableStream<Uint8Array> | undefined
  #writable: WritableStream<Uint8Array | string> | undefined
  #writing: WritableStreamDefaultController | undefined
  #readDone = false
  #writeDone = false

  constructor(vc: VConnection) {
    this.#vc = vc
  }

  get readable(): ReadableStream<Uint8Array> {
    return (this.#readable ??= this.#makeReadable())
  }

  get writable(): WritableStream<Uint8Array | string> {
    return (this.#writable ??= this.#makeWritable())
  }

  #makeReadable(): ReadableStream<Uint8Array> {
    const vc = this.#vc
    const source = pullReader(vc, 'readable')
    let pulling = false

    const end = (controller: ReadableByteStreamController) => {
      source.whenEnded = undefined
      if (this.#readDone) return
      const error = source.finish()
      if (error) {
        controller.error(error)
        this.#writing?.error(error)
      } else {
        controller.close()
        controller.byobRequest?.respond(0)
      }
      this.#ended('read')
    }

    return new ReadableStream(
      {
        type: 'bytes',
        start: (controller) => {
          source.whenEnded = () => {
            if (!pulling && source.available === 0) end(controller)
          }
        },
        pull: async (controller) => {
          pulling = true
          while (source.available === 0 && !source.ended) await source.wait()
          pulling = false
          const { available } = source
          if (available === 0) {
            end(controller)
            return
          }
          const request = controller.byobRequest
          if (request?.view) {
            request.respond(source.takeInto(request.view as Uint8Array))
            return
          }
          // Its memory goes to the stream, so that it cannot be shared.
          const chunk = new Uint8Array(Math.min(available, chunkBytes))
          source.takeInto(chunk)
          controller.enqueue(chunk)
        },
        cancel: () => {
          source.whenEnded = undefined
          this.#ended('read')
          if (!vc.closed && !vc.tunnel && !vc.assigned) vc.doIoShutdown('read')
          source.drop()
        },
      },
      { highWaterMark: 0 },
    )
  }

  #makeWritable(): WritableStream<Uint8Array | string> {
    const vc = this.#vc
    vc.assertUsable('writable', 2)
    return new WritableStream<Uint8Array | string>(
      {
        start: (controller) => {
          this.#writing = controller
        },
        write: (chunk) => (vc.write(chunk) ? undefined : vc.drained()),
        close: async () => {
          this.#writing = undefined
          vc.doIoShutdown('write')
          await vc.drainedTo(0)
          this.#ended('write')
        },
        abort: () => {
          this.#writing = undefined
          if (!vc.tunnel && !vc.assigned) vc.closeWithReset()
        },
      },
      { highWaterMark: queueBytes, size: sizeOf },
    )
  }

  /** Who has taken both and is through with both is through with the connection. */
  #ended(side: 'read' | 'write'): void {
    if (side === 'read') this.#readDone = true
    else this.#writeDone = true
    const { tunnel, assigned } = this.#vc
    if (this.#readDone && this.#writeDone && !tunnel && !assigned) this.#vc.doIoClose()
  }
}
