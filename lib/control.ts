import type { NetvcError } from './errors.js'
import { migrate } from './migrate.js'
import { native } from './native.js'
import { addToActive } from './queues.js'
import type { Reactor } from './reactor.js'
import { VCSocket } from './socket.js'
import { Timeouts, type TimeoutKind } from './timeouts.js'

/** Timeouts, queues and the net thread of a connection that this thread has. */
export abstract class VCControl extends VCSocket {
  /** @internal */ abstract readonly reactor: Reactor
  /** @internal */ protected timeouts: Timeouts | undefined
  /** @internal */ protected migrating = false

  /** @internal Both operations end without an event. */
  protected abstract disarm(): void
  /** @internal */ abstract markClosed(error: NetvcError | undefined): void

  /**
   * A handler is told INACTIVITY_TIMEOUT when no byte has moved for `ms`, in either direction, while
   * an operation waits for something. Once; the next byte, or another call, starts it anew. Never
   * early, late by a 32nd of it at most, 1 s at most (and by how busy the thread is). 0 cancels.
   * Told is the handler of the read operation, then that of the write operation, if it is another
   * one; nobody when neither exists. Nothing is closed.
   */
  setInactivityTimeout(ms: number): void {
    this.#setTimeout(0, ms, 'setInactivityTimeout')
  }
  /** ACTIVE_TIMEOUT comes after `ms`, whatever moves. Otherwise like setInactivityTimeout(). */
  setActiveTimeout(ms: number): void {
    this.#setTimeout(1, ms, 'setActiveTimeout')
  }
  cancelInactivityTimeout(): void {
    this.#setTimeout(0, 0, 'cancelInactivityTimeout')
  }
  cancelActiveTimeout(): void {
    this.#setTimeout(1, 0, 'cancelActiveTimeout')
  }
  /** Milliseconds, 0 for none. */
  get inactivityTimeout(): number {
    return this.timeouts?.values[0] ?? 0
  }
  /** Milliseconds, 0 for none. */
  get activeTimeout(): number {
    return this.timeouts?.values[1] ?? 0
  }

  #setTimeout(kind: TimeoutKind, ms: number, what: string): void {
    this.assertUsable(what, 0, ms === 0)
    if (ms === 0 && (this.closed || !this.timeouts)) return
    this.timeouts ??= new Timeouts()
    this.timeouts.set(this, kind, ms)
  }

  /**
   * It waits for a next request: to the tail of its net thread's keep-alive queue. When the queues
   * hold too many (QueueLimits), or a descriptor is needed, those that have waited longest are
   * evicted: told INACTIVITY_TIMEOUT, to be closed by their handlers; closed here if they have
   * none. Semantics: Apache Traffic Server's (KQ-2, KQ-4).
   */
  addToKeepAliveQueue(): void {
    this.assertUsable('addToKeepAliveQueue')
    native.addToKeepAliveQueue(this.slot, this.version)
  }
  /**
   * It works on a request. False: maxActive connections do so already, and none of them is overdue;
   * nothing has changed then (KQ-3). Rejects with ERR_VC_CLOSED.
   */
  async addToActiveQueue(): Promise<boolean> {
    this.assertUsable('addToActiveQueue')
    return addToActive(this)
  }
  /** Neither. Closing does the same. */
  removeFromQueues(): void {
    this.assertUsable('removeFromQueues', 0, true)
    native.removeFromQueues(this.slot, this.version)
  }

  /**
   * Moves the connection to another net thread of its reactor (0 to threads - 1). Its operations
   * and timeouts are cancelled at once, without an event; bytes that they have read stay in their
   * buffers. Resolves when it is there, and can be armed again; until then only write() and the
   * ways to close it work, others throw ERR_VC_MIGRATING. Rejects with ERR_VC_CLOSED.
   */
  async migrate(thread: number): Promise<void> {
    this.assertUsable('migrate')
    const leave = () => {
      this.disarm()
      this.timeouts = undefined
      this.migrating = true
      this.waits(1)
    }
    const arrive = (code: number) => {
      this.migrating = false
      this.waits(-1)
      if (code !== 0) this.markClosed(undefined)
    }
    return migrate(this.reactor, this, thread, leave, arrive)
  }
}
