import { AcceptQueue } from './accept-queue.js'
import { NetvcError, rethrowLater, systemError } from './errors.js'
import { NativePromise, nextTick } from './globals.js'
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

/** native/binding/reactor_functions.cc, gateListener */
const Gate = { shut: 0, open: 1, untilSomebodyCame: 2 } as const

/** Accepts connections on one or several addresses. Made by Reactor.listen. */
export class Listener {
  readonly #reactor: Reactor
  readonly #ids: number[] = []
  readonly #addresses: string[] = []
  readonly #handler: ((vc: VConnection) => void) | undefined
  readonly #queue = new AcceptQueue()
  #paused = false
  #asked = false
  #failure: NetvcError | undefined
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
    handler: ((vc: VConnection) => void) | undefined,
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

  /** pause() was called, and resume() was not. */
  get paused(): boolean {
    return this.#paused
  }

  /**
   * Stops accepting, until resume(): who connects waits in the kernel's queue (ListenOptions.backlog).
   * No handler is called from its return on. Connections that were accepted already are kept and
   * handed out first then: on the inline engine at most `acceptsPerWakeup` for each address; on net
   * threads those that this thread has not been told of yet, and one whose accept is under way.
   */
  pause(): void {
    this.#paused = true
    this.#gate(Gate.shut)
  }

  /** Accepts again. Never calls the handler on the caller's stack. */
  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#handler) {
      this.#gate(Gate.open)
      nextTick(() => {
        this.#catchUp(this.#handler!)
      })
    } else {
      this.#asked = false
      this.#serve()
    }
  }

  /**
   * The connections, one by one: for a listener that was made without a handler. It accepts only
   * while somebody asks for the next one, `acceptsPerWakeup` at a time on each address (and
   * accepting thread); all others wait in the kernel's queue. `break` closes the listener, and what
   * was accepted and not handed out. close() ends the loop; a listener that fails throws in it, and
   * is closed. Several loops share the connections. Throws ERR_LISTENER_HANDLER if it has a handler.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<VConnection, undefined> {
    if (this.#handler) {
      const text = 'for await: connections of this listener go to the handler given to listen()'
      throw new NetvcError('ERR_LISTENER_HANDLER', text)
    }
    return {
      next: () => {
        const next = this.#queue.ask()
        this.#serve()
        return next
      },
      return: async () => {
        await this.close()
        return { value: undefined, done: true }
      },
      [Symbol.asyncIterator]() {
        return this
      },
    }
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
   * Stops accepting; resolves when the ports are free. Connections that were handed out live on; a
   * handler is not called again after close() was called, and a loop ends.
   */
  close(): Promise<void> {
    this.#closing ??= new NativePromise((resolve) => {
      this.#stopped = resolve
      this.#queue.close()
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
    if (this.#handler && !this.#paused && this.#queue.empty) {
      this.#handOut(vc, this.#handler)
    } else {
      this.#queue.add(vc)
      this.#asked = false
      if (!this.#handler) this.#serve()
    }
  }

  #handOut(vc: VConnection, handler: (vc: VConnection) => void): void {
    startTimeouts(vc, this.#timeouts) // and who it is given to gets them too
    if (this.#choose && this.#give(vc, this.#choose)) return
    handler(vc)
  }

  /** Those that came while it was paused. */
  #catchUp(handler: (vc: VConnection) => void): void {
    for (;;) {
      const vc = this.#paused || this.#closing ? undefined : this.#queue.take()
      if (!vc) return
      try {
        this.#handOut(vc, handler)
      } catch (error) {
        rethrowLater(error)
      }
    }
  }

  /** Gives to the loops what is there, and accepts when they want more. */
  #serve(): void {
    while (this.#queue.wanted && !this.#paused) {
      const vc = this.#queue.take()
      if (vc) {
        startTimeouts(vc, this.#timeouts)
        this.#queue.answer(vc)
        continue
      }
      if (this.#failure) {
        this.#queue.fail(this.#failure)
        this.#failure = undefined
        void this.close()
      } else if (!this.#asked) {
        this.#asked = true
        this.#gate(Gate.untilSomebodyCame)
      }
      return
    }
    // Another address, or thread, may still wait for somebody.
    this.#gate(Gate.shut)
  }

  #gate(gate: number): void {
    if (this.#closing) return
    for (const id of this.#ids) native.gateListener(this.#reactor.handle, id, gate)
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
    if (!this.#handler) {
      this.#failure = this.#error
      this.#serve()
      return
    }
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
