import { VCEvent, type VConnection, type VIO } from 'netvc'

/** What was wrong with any event of any recorder; the fixture looks after each test. */
export const violations: string[] = []

export interface Recorded {
  event: VCEvent
  ndone: number
}

type Also = (event: VCEvent, vio: VIO) => void

const terminal: ReadonlySet<VCEvent> = new Set([
  VCEvent.READ_COMPLETE,
  VCEvent.WRITE_COMPLETE,
  VCEvent.EOS,
  VCEvent.ERROR,
])
const readOnly = new Set([VCEvent.READ_READY, VCEvent.READ_COMPLETE])
const running = new Map<VConnection, number>()

/**
 * A handler that keeps what it is told and checks, for every event: the grammar of INV-2, ndone
 * (INV-3), one handler at a time per connection (INV-5), nothing after close (INV-1).
 */
export class Recorder {
  readonly events: Recorded[] = []
  #generation: number | undefined
  #ended = false
  #ndone = 0
  #waiting: { test: (r: Recorded) => boolean; resolve: (r: Recorded) => void }[] = []

  constructor(
    private readonly also?: Also,
    private readonly options: { nested?: boolean } = {},
  ) {}

  readonly handler = (event: VCEvent, vio: VIO): void => {
    this.#check(event, vio)
    const recorded = { event, ndone: vio.ndone }
    this.events.push(recorded)
    const depth = running.get(vio.vc) ?? 0
    if (depth > 0 && !this.options.nested) this.#wrong('two handlers at once', event, vio)
    running.set(vio.vc, depth + 1)
    try {
      this.also?.(event, vio)
    } catch (error) {
      violations.push(`handler of ${VCEvent[event]}: ${String(error)}`)
    } finally {
      if (depth === 0) running.delete(vio.vc)
      else running.set(vio.vc, depth)
    }
    const told = this.#waiting.filter(({ test }) => test(recorded))
    this.#waiting = this.#waiting.filter((w) => !told.includes(w))
    for (const { resolve } of told) resolve(recorded)
  }

  /** The names of the events, for comparing. */
  get names(): string[] {
    return this.events.map(({ event }) => VCEvent[event])
  }

  count(event: VCEvent): number {
    return this.events.filter((r) => r.event === event).length
  }

  /** Resolves with the first event that passes, now or later. */
  when(test: (r: Recorded) => boolean): Promise<Recorded> {
    const known = this.events.find(test)
    if (known) return Promise.resolve(known)
    return new Promise((resolve) => this.#waiting.push({ test, resolve }))
  }

  until(event: VCEvent): Promise<Recorded> {
    return this.when((r) => r.event === event)
  }

  /** COMPLETE, EOS or ERROR, by name. */
  async end(): Promise<string> {
    return VCEvent[(await this.when((r) => terminal.has(r.event))).event]
  }

  #check(event: VCEvent, vio: VIO): void {
    if (vio.generation !== this.#generation) {
      this.#generation = vio.generation
      this.#ended = false
      this.#ndone = 0
    }
    if (vio.vc.closed) this.#wrong('event after close', event, vio)
    // Timeouts may come at any time, also after the terminal event, and count nothing (INV-2).
    if (event === VCEvent.INACTIVITY_TIMEOUT || event === VCEvent.ACTIVE_TIMEOUT) return
    if (this.#ended) {
      // Raised after COMPLETE and reenabled: a new arming for INV-2 (VIO-1).
      if (vio.ndone <= this.#ndone) this.#wrong('event after the terminal one', event, vio)
      this.#ended = false
    }
    if (vio.ndone < this.#ndone) this.#wrong('ndone went back', event, vio)
    const complete = event === VCEvent.READ_COMPLETE || event === VCEvent.WRITE_COMPLETE
    if (complete && vio.ndone < vio.nbytes) this.#wrong('complete before nbytes', event, vio)
    if (!complete && vio.ndone === vio.nbytes && !terminal.has(event)) {
      this.#wrong('nbytes without COMPLETE', event, vio)
    }
    const side = readOnly.has(event) ? 0 : event === VCEvent.WRITE_READY ? 1 : undefined
    if (side !== undefined && side !== vio.side) this.#wrong('event of the other side', event, vio)
    this.#ndone = vio.ndone
    this.#ended = terminal.has(event)
  }

  #wrong(what: string, event: VCEvent, vio: VIO): void {
    const at = `ndone ${String(vio.ndone)} of ${String(vio.nbytes)}`
    violations.push(
      `${what}: ${VCEvent[event]}, side ${String(vio.side)}, ${at}; ${this.names.slice(-8).join(' ')}`,
    )
  }
}
