import { clearTimeout, NativePromise, setTimeout } from './globals.js'
import { abortError } from './errors.js'

interface Ends {
  signal?: AbortSignal | undefined
  /** Milliseconds; 0: no limit. */
  timeout?: number
  /** The error then. */
  late?: () => Error
}

/**
 * @internal A promise that may end early: by a signal, by its time, or because its reactor closes.
 * It has exactly one outcome; what comes later finds it over. Owner: the set of open ones.
 */
export class Request<T> {
  readonly promise: Promise<T>
  /** Gives up what is under way, when it ends early. */
  giveUp: (() => void) | undefined
  #resolve!: (value: T) => void
  #reject!: (error: Error) => void
  #timer: NodeJS.Timeout | undefined
  readonly #signal: AbortSignal | undefined

  constructor(
    private readonly open: Set<Request<never>>,
    { signal, timeout = 0, late }: Ends,
  ) {
    this.promise = new NativePromise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    open.add(this as unknown as Request<never>)
    this.#signal = signal
    signal?.addEventListener('abort', this.#abort, { once: true })
    if (timeout > 0 && late) {
      this.#timer = setTimeout(() => {
        this.reject(late())
      }, timeout).unref()
    }
  }

  get over(): boolean {
    return !this.open.has(this as unknown as Request<never>)
  }

  resolve(value: T): void {
    if (this.#end()) this.#resolve(value)
  }

  reject(error: Error): void {
    if (!this.#end()) return
    this.giveUp?.()
    this.#reject(error)
  }

  readonly #abort = () => {
    this.reject(abortError(this.#signal?.reason))
  }

  #end(): boolean {
    if (!this.open.delete(this as unknown as Request<never>)) return false
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener('abort', this.#abort)
    return true
  }
}
