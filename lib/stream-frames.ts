import { runTicks } from './globals.js'
import { native } from './native.js'

const headBytes = 9
const preface = 24

/** Where the frames of http2 end, in the bytes of one direction of a connection. */
export class Frames {
  /** Bytes of the frame that are still to come. */
  #left = 0
  /** Bytes of its head that were seen, and its length as far as they tell it. */
  #head = 0
  #length = 0
  #first = true

  /** The same bytes, cut behind each frame that ends in them. */
  split(bytes: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = []
    let from = 0
    let at = 0
    if (this.#first && bytes.length > 0) {
      this.#first = false
      if (bytes[0] === 0x50) this.#left = preface // a client's: "PRI * HTTP/2.0"
    }
    while (at < bytes.length) {
      if (this.#left === 0) {
        if (this.#head < 3) this.#length = this.#length * 256 + (bytes[at] ?? 0)
        this.#head++
        at++
        if (this.#head < headBytes) continue
        this.#left = this.#length
        this.#head = this.#length = 0
      } else {
        const n = Math.min(this.#left, bytes.length - at)
        this.#left -= n
        at += n
      }
      if (this.#left > 0) continue
      frames.push(bytes.subarray(from, at))
      from = at
    }
    if (from < bytes.length) frames.push(bytes.subarray(from))
    return frames
  }
}

/** What a frame has made Node's http2 tell is told before the next one is seen. */
export function tellFrame(): void {
  try {
    runTicks()
  } catch (error) {
    native.tellUncaught(error)
  }
}
