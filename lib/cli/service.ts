import type { Listener, Reactor } from '../index.js'
import type { Problems } from './problems.js'
import type { Counters } from './status.js'

/** What a command runs until a signal comes; serve() drives it. */
export interface Service {
  reactor: Reactor
  listener: Listener
  clients: Clients
  counters(): Counters
}

export type StartService = (problems: Problems) => Promise<Service>

/** Counts clients, and says when the last one has gone. */
export class Clients {
  open = 0
  accepted = 0
  #waiting: (() => void)[] = []

  opened(): void {
    this.open++
    this.accepted++
  }

  closed(): void {
    if (--this.open > 0) return
    for (const resolve of this.#waiting) resolve()
    this.#waiting = []
  }

  /** Resolves as soon as no client is there. */
  gone(): Promise<void> {
    return new Promise((resolve) => {
      if (this.open === 0) resolve()
      else this.#waiting.push(resolve)
    })
  }
}
