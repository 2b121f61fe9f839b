import type { Listener, Reactor } from '../index.js'
import type { Problems } from './problems.js'
import type { Counters } from './status.js'

/** What a command runs until a signal comes; serve() drives it. */
export interface Service {
  reactor: Reactor
  listener: Listener
  clients: Clients
  counters(): Counters
  /** How often something has ended otherwise than by its two sides, by reason. */
  ends: Map<string, number>
}

export type StartService = (problems: Problems) => Promise<Service>

/** Counts clients. */
export class Clients {
  open = 0
  accepted = 0

  opened(): void {
    this.open++
    this.accepted++
  }

  closed(): void {
    this.open--
  }
}
