import { count } from './format.js'

/**
 * Reports what goes wrong while serving: the first at once, then at most one line per window that
 * also says how many were left out. A server whose upstream is down must not fill a disk.
 */
export class Problems {
  readonly #print: (line: string) => void
  readonly #windowMs: number
  #timer: NodeJS.Timeout | undefined
  #held = 0
  #last = ''
  /** All that were reported. */
  total = 0

  constructor(print: (line: string) => void, windowMs = 1000) {
    this.#print = print
    this.#windowMs = windowMs
  }

  report(error: unknown): void {
    this.total++
    const text = error instanceof Error ? error.message : String(error)
    if (this.#timer) {
      this.#held++
      this.#last = text
      return
    }
    this.#print(text)
    this.#timer = setTimeout(() => this.#windowOver(), this.#windowMs).unref()
  }

  #windowOver(): void {
    this.#timer = undefined
    this.flush()
  }

  /** Prints what is held back. */
  flush(): void {
    if (this.#held === 0) return
    const more = this.#held - 1
    this.#print(more === 0 ? this.#last : `${this.#last} (and ${count(more, 'more problem')})`)
    this.#held = 0
    this.#timer ??= setTimeout(() => this.#windowOver(), this.#windowMs).unref()
  }
}
