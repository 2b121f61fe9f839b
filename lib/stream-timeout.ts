import { clearTimeout, now, setTimeout } from './globals.js'
import { native } from './native.js'
import type { VCStream } from './stream.js'

/**
 * The idle timeout of a stream. Nothing is done per byte: when the timer fires the engine is asked
 * for how long nothing has moved, and the timer starts again with the rest. Only a stream that was
 * told looks, at its next byte, whether to start anew.
 */
export class IdleTimer {
  /** Milliseconds; 0: not wanted, though the timer may still run. */
  #wanted: number
  #timer: NodeJS.Timeout
  #running: number
  #since = 0
  /** It was told, and no byte has moved since. */
  told = false

  constructor(
    private readonly stream: VCStream,
    ms: number,
  ) {
    this.#wanted = ms
    this.#running = ms
    this.#timer = this.#start(ms)
  }

  set(ms: number): void {
    this.#wanted = ms
    this.told = false
    if (ms > 0) this.moved()
  }

  /** A byte has moved, or counts as if. */
  moved(): void {
    this.told = false
    this.#since = now()
    if (this.#wanted === 0) return
    if (this.#running === this.#wanted) {
      this.#timer.refresh()
    } else {
      clearTimeout(this.#timer)
      this.#timer = this.#start(this.#wanted)
    }
  }

  stop(): void {
    this.#wanted = 0
    clearTimeout(this.#timer)
  }

  #start(ms: number): NodeJS.Timeout {
    this.#running = ms
    this.#since ||= now()
    return setTimeout(() => {
      this.#due()
    }, ms).unref()
  }

  #due(): void {
    const { vc } = this.stream
    if (this.#wanted === 0 || this.told) return
    const state = vc === undefined || vc.closed ? undefined : native.inspect(vc.slot, vc.version)
    const idle = Math.min(state?.idleMs ?? Infinity, now() - this.#since)
    const rest = this.#wanted - idle
    if (rest > 1) {
      this.#timer = this.#start(Math.ceil(rest))
      return
    }
    this.told = true
    this.stream.emit('timeout')
  }
}
