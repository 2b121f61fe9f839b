import { connectionTable, ownConnections } from './connections.js'
import { outOfRange, wrongType } from './errors.js'
import { NativePromise, now, setTimeout } from './globals.js'
import type { Listener } from './listener.js'
import { maxInt } from './options.js'
import type { VConnection } from './vconnection.js'

export interface DrainOptions {
  /** Milliseconds until what is left is closed. Default 30000. */
  deadline?: number
  /**
   * Asked for every connection that no tunnel has, at once and then again from time to time:
   * whether it can be closed now, since nothing is under way on it. Only your protocol knows that.
   * Those in the keep-alive queue are idle without being asked; all others end by themselves or at
   * the deadline.
   */
  idle?: (vc: VConnection) => boolean
  /** Called when the waiting is over, before what is left is closed. */
  beforeClose?: (result: DrainResult) => void
}

export interface DrainResult {
  /** Connections that were open at the deadline, and were closed then. */
  closed: number
}

const lookMs = 20

/** @internal Reactor.drain() */
export async function drain(
  reactor: number,
  listeners: Iterable<Listener>,
  options: DrainOptions,
): Promise<DrainResult> {
  const { deadline = 30_000, idle, beforeClose } = options
  if (typeof deadline !== 'number') throw wrongType('options.deadline', 'a number', deadline)
  if (!Number.isInteger(deadline) || deadline < 0 || deadline > maxInt) {
    throw outOfRange('options.deadline', 'whole milliseconds >= 0', deadline)
  }
  for (const [name, value] of Object.entries({ idle, beforeClose })) {
    if (value !== undefined && typeof value !== 'function')
      throw wrongType(`options.${name}`, 'a function', value)
  }
  const limit = now() + deadline
  await NativePromise.all([...listeners].map((listener) => listener.close()))
  for (;;) {
    for (const [vc, queue] of ownConnections(reactor)) {
      if (queue === 'keep-alive' || idle?.(vc)) vc.closeGracefully()
    }
    const closed = connectionTable(reactor).length
    if (closed === 0 || now() >= limit) {
      beforeClose?.({ closed })
      return { closed }
    }
    await new NativePromise((resolve) => setTimeout(resolve, Math.min(lookMs, limit - now())))
  }
}
