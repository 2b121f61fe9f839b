import type { NetvcError } from './errors.js'
import { NativePromise } from './globals.js'
import type { VConnection } from './vconnection.js'

interface Asking {
  resolve: (result: IteratorResult<VConnection, undefined>) => void
  reject: (error: NetvcError) => void
}

const over = { value: undefined, done: true } as const

/** @internal Connections that were accepted and are not handed out yet, and who waits for one. */
export class AcceptQueue {
  readonly #held: VConnection[] = []
  readonly #asking: Asking[] = []
  #closed = false

  get empty(): boolean {
    return this.#held.length === 0
  }
  /** Somebody waits for a connection. */
  get wanted(): boolean {
    return this.#asking.length > 0
  }

  add(vc: VConnection): void {
    this.#held.push(vc)
  }

  /** The one that came first and still lives. */
  take(): VConnection | undefined {
    for (let vc = this.#held.shift(); vc; vc = this.#held.shift()) if (!vc.closed) return vc
    return undefined
  }

  /** After close() the end is the answer. */
  ask(): Promise<IteratorResult<VConnection, undefined>> {
    if (this.#closed) return NativePromise.resolve(over)
    return new NativePromise((resolve, reject) => this.#asking.push({ resolve, reject }))
  }

  answer(value: VConnection): void {
    this.#asking.shift()?.resolve({ value, done: false })
  }
  fail(error: NetvcError): void {
    this.#asking.shift()?.reject(error)
  }

  close(): void {
    this.#closed = true
    for (const vc of this.#held.splice(0)) vc.doIoClose()
    for (const { resolve } of this.#asking.splice(0)) resolve(over)
  }
}
