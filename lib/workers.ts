import { NetvcError, outOfRange, rethrowLater, wrongType } from './errors.js'
import { GONE, native } from './native.js'
import { checkOptions, maxInt } from './options.js'
import type { VConnection } from './vconnection.js'

/** A JavaScript thread that uses the shared reactor. */
export interface WorkerInfo {
  /** worker_threads.threadId; 0 is the main thread. */
  threadId: number
  /** Connections that it has, or that are on their way to it. */
  connections: number
  /** It takes connections that others accepted: Reactor.register. */
  registered: boolean
}

export interface RegisterOptions {
  /**
   * What becomes of the connections of this thread when it ends without closing them: `close`, or
   * `park`: nobody reads them, so their peers are held back, until somebody assigns them. What was
   * read and not consumed is read again. Default `close`.
   */
  onExit?: 'close' | 'park'
}

/** Chooses the worker for a new connection; undefined: the listener's own handler takes it. */
export type Chooser = (vc: VConnection, workers: WorkerInfo[]) => number | undefined

/** How accepted connections are spread over the threads that registered. */
export type Distribute = 'round-robin' | 'least-connections' | 'random' | Chooser

/** @internal native/binding/shared_pool.h */
export const distributions = { 'round-robin': 1, 'least-connections': 2, random: 3 } as const

const noErrno = { ESRCH: -3, EPERM: -1, EXDEV: -18 }

/** @internal What a reactor has besides, when it is the shared one: its seat at the net threads. */
export class Seat {
  handler: ((vc: VConnection) => void) | undefined
  registered = false
  #onExit: RegisterOptions['onExit']
  readonly parkedListeners = new Set<(id: bigint) => void>()

  constructor(readonly handle: number) {}

  register(handler: (vc: VConnection) => void, options: RegisterOptions | undefined): void {
    if (typeof handler !== 'function') throw wrongType('handler', 'a function', handler)
    checkOptions('register', options)
    this.handler = handler
    this.registered = true
    this.#onExit = options?.onExit
    native.registerSeat(this.handle, 1, this.#onExit === 'park' ? 1 : 0)
  }

  /** It takes nothing new; what becomes of what it has stays as it was, unless onExit says it. */
  unregister(onExit = this.#onExit): void {
    this.registered = false
    native.registerSeat(this.handle, 0, onExit === 'park' ? 1 : 0)
  }

  workers(): WorkerInfo[] {
    const flat = native.workers(this.handle)
    const list: WorkerInfo[] = []
    for (let i = 0; i < flat.length; i += 3) {
      list.push({
        threadId: flat[i],
        connections: flat[i + 1],
        registered: flat[i + 2] === 1,
      })
    }
    return list
  }

  tellParked(slot: number, version: number): void {
    const id = (BigInt(version >>> 0) << 32n) | BigInt(slot >>> 0)
    for (const listener of [...this.parkedListeners]) {
      try {
        listener(id)
      } catch (error) {
        rethrowLater(error)
      }
    }
  }
}

/** @internal The seat of this thread, if it has one. */
export const mySeat: { current: Seat | undefined } = { current: undefined }

/** @internal buffer: of the owner's read operation, or -1. */
export function assign(
  seat: Seat | undefined,
  vc: { slot: number; version: number },
  threadId: unknown,
  owner: boolean,
  buffer: number,
): void {
  if (typeof threadId !== 'number') throw wrongType('threadId', 'a number', threadId)
  if (!Number.isInteger(threadId) || threadId < 0 || threadId > maxInt) {
    throw outOfRange('threadId', 'a worker_threads.threadId', threadId)
  }
  if (!seat) throw notShared('assign')
  const r = native.assign(seat.handle, vc.slot, vc.version, threadId, owner ? 1 : 0, buffer)
  if (r === 0) return
  if (r === GONE) throw new NetvcError('ERR_VC_CLOSED', 'assign: the connection is closed')
  if (r === noErrno.EXDEV) throw notShared('assign')
  if (r === noErrno.EPERM) {
    const text = 'assign: the connection belongs to another thread, and is not parked'
    throw new NetvcError('ERR_VC_NOT_OWNER', text)
  }
  const text = `assign: thread ${String(threadId)} has not called register()`
  throw new NetvcError('ERR_NO_SUCH_WORKER', text)
}

/** @internal */
export function notShared(what: string): NetvcError {
  const text = `${what}: only with Reactor.shared(), whose net threads all workers use`
  return new NetvcError('ERR_NOT_SHARED', text)
}
