import { wrongType } from './errors.js'
import { native } from './native.js'
import { notShared, type RegisterOptions, type Seat, type WorkerInfo } from './workers.js'
import type { VConnection } from './vconnection.js'

/** What the shared reactor can do with the other JavaScript threads: docs/workers.md. */
export abstract class WorkerSide {
  /** @internal */ abstract readonly handle: number
  /** @internal Only of the shared reactor. */ abstract readonly seat: Seat | undefined
  /** True once close() was called. */
  abstract readonly closed: boolean
  /** @internal */
  abstract assertOpen(what: string): void
  /** @internal */
  protected abstract updateRef(): void

  /**
   * Takes connections that other threads assign to this one, or that a listener distributes;
   * handler is called for each. Keeps this thread alive until unregister(); those that are on
   * their way then still come. Shared reactor only.
   */
  register(handler: (vc: VConnection) => void, options?: RegisterOptions): void {
    this.assertOpen('register')
    this.sharedSeat('register').register(handler, options)
    this.updateRef()
  }
  unregister(): void {
    if (!this.closed) this.sharedSeat('unregister').unregister()
    this.updateRef()
  }

  /** The threads that use the shared reactor. */
  workers(): WorkerInfo[] {
    return this.sharedSeat('workers').workers()
  }

  /** Ids of connections whose thread has gone, and that nobody was given: see VCHandle.assign. */
  parked(): bigint[] {
    this.sharedSeat('parked')
    return native.parked(this.handle)
  }

  /** listener hears of every connection that is parked from now on. The answer forgets it. */
  onParked(listener: (id: bigint) => void): () => void {
    if (typeof listener !== 'function') throw wrongType('listener', 'a function', listener)
    const { parkedListeners } = this.sharedSeat('onParked')
    parkedListeners.add(listener)
    return () => void parkedListeners.delete(listener)
  }

  /** @internal */
  sharedSeat(what: string): Seat {
    if (!this.seat) throw notShared(what)
    return this.seat
  }
}
