import type { VConnection } from 'netvc'
import { expect } from 'vitest'
import type { World } from './fixture.js'
import { Recorder } from './recorder.js'

// Numbered messages of several writers on one connection: who, which one, how long, and a filling
// that follows from these, so that a byte at a wrong place is seen.

const magic = 0x6376746e
const headBytes = 16
/** What a write operation sends beside the messages; no message begins with it. */
export const filler = 0xff

/** Also run in workers, from its source text: it knows nothing but Buffer. */
export function frame(writer: number, sequence: number, length: number): Buffer {
  const bytes = Buffer.alloc(16 + length, (writer * 64 + sequence) & 255)
  bytes.writeUInt32LE(0x6376746e, 0)
  bytes.writeUInt32LE(writer, 4)
  bytes.writeUInt32LE(sequence, 8)
  bytes.writeUInt32LE(length, 12)
  return bytes
}

/** Follows a stream of them: each whole, and those of one writer in their order (SW-9, INV-9). */
export class FrameChecker {
  /** Messages by writer. */
  readonly seen = new Map<number, number>()
  /** Bytes of the write operation. */
  fillers = 0
  #rest = Buffer.alloc(0)

  /** Bytes of a message that has not ended. */
  get partial(): number {
    return this.#rest.length
  }
  get messages(): number {
    let n = 0
    for (const count of this.seen.values()) n += count
    return n
  }
  count(writer: number): number {
    return this.seen.get(writer) ?? 0
  }

  take(more: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, more]) : more
    let at = 0
    for (;;) {
      while (at < bytes.length && bytes[at] === filler) {
        at++
        this.fillers++
      }
      if (bytes.length - at < headBytes) break
      const [found, writer, sequence, length] = [0, 4, 8, 12].map((i) => bytes.readUInt32LE(at + i))
      if (found !== magic) expect.fail('a message does not begin where one has to')
      const end = at + headBytes + length
      if (end > bytes.length) break
      if (sequence !== this.count(writer)) {
        expect.fail(
          `writer ${String(writer)}: ${String(sequence)} after ${String(this.count(writer))}`,
        )
      }
      const wanted = frame(writer, sequence, length)
      if (bytes.compare(wanted, 0, wanted.length, at, end) !== 0) {
        expect.fail(`message ${String(sequence)} of writer ${String(writer)} is damaged`)
      }
      this.seen.set(writer, sequence + 1)
      at = end
    }
    this.#rest = Buffer.from(bytes.subarray(at))
  }
}

/** Reads all that comes, checking it. */
export function checkFrames(
  world: World,
  vc: VConnection,
): { frames: FrameChecker; recorder: Recorder } {
  const [buffer, reader] = world.pipe()
  const frames = new FrameChecker()
  const recorder = new Recorder(() => frames.take(reader.read()))
  vc.doIoRead(recorder.handler, Infinity, buffer)
  return { frames, recorder }
}
