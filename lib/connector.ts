import { clearTimeout, setTimeout } from './globals.js'
import type { VConnection } from './vconnection.js'

/** How one address is tried, and who hears of the end. */
export interface ConnectSteps<A> {
  /**
   * Begins one attempt: why it cannot, or how to give it up. One of opened and failed is called
   * later, unless it is given up.
   */
  begin(
    to: A,
    opened: (vc: VConnection) => void,
    failed: (error: Error) => void,
  ): (() => void) | Error
  /** It took longer than attemptTimeout, and was given up: the error that stands for it. */
  late(to: A): Error
  connected(vc: VConnection): void
  /** Why each of them failed, in their order. */
  failed(errors: Error[]): void
}

/**
 * @internal Connects to the first of several addresses that answers, as node:net does: one after the
 * other, each but the last for attemptTimeout at most. One of connected() and failed() is called,
 * unless it is cancelled before.
 */
export class Connector<A> {
  #next = 0
  #over = false
  #timer: NodeJS.Timeout | undefined
  #giveUp: (() => void) | undefined
  readonly #errors: Error[] = []

  /** attemptTimeout: milliseconds. */
  constructor(
    private readonly addresses: readonly A[],
    private readonly attemptTimeout: number,
    private readonly steps: ConnectSteps<A>,
  ) {}

  start(): void {
    while (!this.#over && this.#next < this.addresses.length) {
      if (this.#try(this.addresses[this.#next++])) return
    }
    if (this.#over) return
    this.#over = true
    this.steps.failed(this.#errors)
  }

  cancel(): void {
    this.#over = true
    this.#stop()
  }

  /** Whether its end will be told. */
  #try(to: A): boolean {
    const { steps } = this
    const begun = steps.begin(
      to,
      (vc) => {
        clearTimeout(this.#timer)
        this.#giveUp = undefined
        this.#over = true
        steps.connected(vc)
      },
      (error) => {
        if (this.#over) return
        this.#stop()
        this.#errors.push(error)
        this.start()
      },
    )
    if (begun instanceof Error) {
      this.#errors.push(begun)
      return false
    }
    if (this.#over) {
      begun() // cancelled meanwhile
      return true
    }
    this.#giveUp = begun
    if (this.#next < this.addresses.length) {
      this.#timer = setTimeout(() => {
        this.#stop()
        this.#errors.push(steps.late(to))
        this.start()
      }, this.attemptTimeout)
    }
    return true
  }

  #stop(): void {
    clearTimeout(this.#timer)
    this.#giveUp?.()
    this.#giveUp = undefined
  }
}

/** @internal The families in turns, the first one's first. */
export function alternate<T extends { family: number }>(list: readonly T[]): T[] {
  const first = list.filter((one) => one.family === list[0].family)
  const second = list.filter((one) => one.family !== list[0].family)
  const result: T[] = []
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    if (i < first.length) result.push(first[i])
    if (i < second.length) result.push(second[i])
  }
  return result
}
