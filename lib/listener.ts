import { systemError, type NetvcError } from './errors.js'
import { native } from './native.js'
import type { AcceptLimit } from './options.js'
import type { Reactor } from './reactor.js'
import { warnOfShortage } from './queues.js'
import { startTimeouts, type TimeoutOptions } from './timeouts.js'
import type { VConnection } from './vconnection.js'
import type { Chooser } from './workers.js'

/** By verdict, native/net/admission.h. */
const limits = [undefined, 'connections', 'address', 'rate', 'throttled', 'descriptors'] as const

/** Counted while a limit is set: see ListenOptions. */
export interface ListenerStats {
  /** Connections that were accepted and are open. */
  open: number
  /** Reset, since their address had too many. */
  refused: number
  /** Times that accepting found maxConnections open, looked at a hundred times a second. */
  waitsForConnections: number
  /** Times that accepting waited for acceptRate. */
  waitsForRate: number
}

/** Accepts connections on one or several addresses. Made by Reactor.listen. */
export class Listener {
  readonly #reactor: Reactor
  readonly #ids: number[] = []
  readonly #addresses: string[] = []
  readonly #handler: (vc: VConnection) => void
  readonly #choose: Chooser | undefined
  readonly #timeouts: TimeoutOptions
  readonly #onLimited: ((limit: AcceptLimit) => void) | undefined
  #running = 0
  #closing: Promise<void> | undefined
  #stopped: (() => void) | undefined
  #error: NetvcError | undefined

  /** @internal */
  constructor(
    reactor: Reactor,
    handler: (vc: VConnection) => void,
    choose: Chooser | undefined,
    timeouts: TimeoutOptions,
    onLimited: ((limit: AcceptLimit) => void) | undefined,
  ) {
    this.#reactor = reactor
    this.#timeouts = timeouts
    this.#onLimited = onLimited
    this.#handler = handler
    this.#choose = choose
  }

  /** The addresses it listens on, with the real ports, in the order they were given. */
  get addresses(): readonly string[] {
    return this.#addresses
  }

  /** Still accepting on at least one address. */
  get listening(): boolean {
    return this.#running > 0 && this.#closing === undefined
  }

  /** Why it stopped by itself, if it did. */
  get error(): NetvcError | undefined {
    return this.#error
  }

  /** What its limits have done; all 0 without limits. */
  stats(): ListenerStats {
    const stats = { open: 0, refused: 0, waitsForConnections: 0, waitsForRate: 0 }
    for (const id of this.#ids) {
      const counts = native.listenerCounts(this.#reactor.handle, id)
      if (!counts) continue
      stats.open += counts[0]
      stats.refused += counts[1]
      stats.waitsForConnections += counts[2]
      stats.waitsForRate += counts[3]
    }
    return stats
  }

  /**
   * Stops accepting; resolves when the ports are free. Connections that were accepted live on; a
   * handler is not called again after close() was called.
   */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#stopped = resolve
      if (this.#running === 0) resolve()
      for (const id of this.#ids) native.closeListener(this.#reactor.handle, id)
    })
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal */
  add(id: number): void {
    this.#ids.push(id)
    this.#running++
    this.#addresses.push(native.listenerAddress(this.#reactor.handle, id) ?? '')
  }

  /** @internal */
  accept(vc: VConnection): void {
    if (this.#closing) {
      vc.doIoClose()
      return
    }
    if (this.#choose && this.#give(vc, this.#choose)) return
    startTimeouts(vc, this.#timeouts)
    this.#handler(vc)
  }

  /** Whether a worker gets it. A chooser that fails ends the connection, which nobody would have. */
  #give(vc: VConnection, choose: Chooser): boolean {
    const workers = this.#reactor.workers().filter((w) => w.registered)
    if (workers.length === 0) return false
    try {
      const threadId = choose(vc, workers)
      if (threadId === undefined) return false
      vc.assign(threadId)
      return true
    } catch (error) {
      // The worker may have gone meanwhile.
      if ((error as { code?: unknown }).code === 'ERR_NO_SUCH_WORKER') return false
      vc.doIoClose()
      throw error
    }
  }

  /** @internal */
  limited(verdict: number): void {
    const limit = limits[verdict]
    if (!limit || this.#closing) return
    warnOfShortage(limit)
    this.#onLimited?.(limit)
  }

  /** @internal */
  failed(errno: number): void {
    this.#error = systemError(errno, 'accept', this.#addresses.join(', '))
    process.emitWarning(`netvc: a listener stopped: ${this.#error.message}`, {
      type: 'NetvcWarning',
      code: 'NETVC_LISTENER_STOPPED',
    })
  }

  /** @internal One address has stopped. */
  stopped(id: number): void {
    native.freeListener(this.#reactor.handle, id)
    if (--this.#running === 0) this.#stopped?.()
  }
}
