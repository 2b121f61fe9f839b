import { NativePromise, clearInterval, now, setInterval, setTimeout } from './globals.js'
import { native } from './native.js'

const pollMs = 2
/** Milliseconds that closing waits for messages; the engine gives up after ten seconds itself. */
export const lingerLimitMs = 10_500

/** Connections of a reactor that their users have closed, and whose messages are still leaving. */
export class Lingering {
  #timer: NodeJS.Timeout | undefined
  readonly #reactor: number
  readonly #shared: boolean

  /** shared: what is open in its net threads is that of all JavaScript threads. */
  constructor(reactor: number, shared: boolean) {
    this.#reactor = reactor
    this.#shared = shared
  }

  /** Whether there are any, beside so many that are open. */
  some(open: number): boolean {
    if (!this.#shared) return native.stats(this.#reactor).open > open
    native.syncReactor(this.#reactor) // but who lingers is known
    return native.stats(this.#reactor).lingering > 0
  }

  /** Keeps the process alive until there are none, or until `over`. */
  keepProcess(open: () => number, over: () => boolean, ref: boolean): void {
    if (this.#timer) return
    const limit = now() + lingerLimitMs
    this.#timer = setInterval(() => {
      if (this.some(open()) && now() < limit && !over()) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }, pollMs)
    if (!ref) this.#timer.unref()
  }

  ref(on: boolean): void {
    if (on) this.#timer?.ref()
    else this.#timer?.unref()
  }

  /** Resolves after a moment in which they can get further. */
  static moment(): Promise<void> {
    return new NativePromise((resolve) => setTimeout(resolve, pollMs))
  }
}
