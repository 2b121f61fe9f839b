import { VCEvent } from './events.js'
import { native } from './native.js'
import { outOfRange, rethrowLater, wrongType } from './errors.js'
import { maxInt } from './options.js'
import type { VConnection } from './vconnection.js'
import type { VIO } from './vio.js'

export interface TimeoutOptions {
  /** Milliseconds: setInactivityTimeout() on the new connection. Default: the reactor's; 0, none. */
  inactivityTimeout?: number
  /** Milliseconds: setActiveTimeout() on the new connection. Default: the reactor's; 0, none. */
  activeTimeout?: number
}

/** @internal Those of the timeouts that are there. */
export function given(options: TimeoutOptions): TimeoutOptions {
  const { inactivityTimeout, activeTimeout } = options
  return {
    ...(inactivityTimeout !== undefined && { inactivityTimeout }),
    ...(activeTimeout !== undefined && { activeTimeout }),
  }
}

/** @internal What came along from another thread, -1 for none; CarriedTimeouts of js_port.h. */
export function carried(inactivity: number, active: number): TimeoutOptions {
  return {
    ...(inactivity >= 0 && { inactivityTimeout: inactivity }),
    ...(active >= 0 && { activeTimeout: active }),
  }
}

/** @internal */
export function startTimeouts(vc: VConnection, options: TimeoutOptions): void {
  if (options.inactivityTimeout) vc.setInactivityTimeout(options.inactivityTimeout)
  if (options.activeTimeout) vc.setActiveTimeout(options.activeTimeout)
}

// Of all connections: an event of one that was here, went away and came back as another object is
// nobody's.
let lastTag = 0

/** @internal 0: inactivity, 1: active; native/vc/timeouts.h. */
export type TimeoutKind = 0 | 1

/**
 * @internal The timeouts of one connection as its JavaScript thread knows them. Each call has a tag
 * that comes back with the event, so that one that was cancelled or set again is not told.
 */
export class Timeouts {
  readonly values: [inactivity: number, active: number] = [0, 0]
  readonly #tags: [number, number] = [0, 0]

  set(vc: { slot: number; version: number }, kind: TimeoutKind, ms: number): void {
    if (typeof ms !== 'number') throw wrongType('ms', 'a number of milliseconds', ms)
    if (!Number.isInteger(ms) || ms < 0 || ms > maxInt) {
      throw outOfRange('ms', 'whole milliseconds >= 0', ms)
    }
    this.values[kind] = ms
    const tag = (this.#tags[kind] = lastTag = (lastTag + 1) & maxInt)
    native.setTimeout(vc.slot, vc.version, kind, ms, tag)
  }

  /** Whether it was set by the last call. */
  holds(event: VCEvent, tag: number): boolean {
    return tag === this.#tags[event === VCEvent.INACTIVITY_TIMEOUT ? 0 : 1]
  }
}

/** The connection is evicted from a queue (KQ-4); native/binding/js_port.h. */
const evictedTag = -1

/**
 * @internal Tells those that TO-8 and TO-9 name: a handler of both operations is told once; none
 * when the timeout was cancelled meanwhile.
 */
export function tellTimeout(
  event: VCEvent,
  tag: number,
  timeouts: Timeouts | undefined,
  read: VIO | undefined,
  write: VIO | undefined,
): void {
  const holds = () => tag === evictedTag || timeouts?.holds(event, tag) === true
  if (!holds()) return
  const reader = read?.handler
  const writer = write?.handler
  if (reader) {
    try {
      reader(event, read)
    } catch (error) {
      if (!writer || writer === reader) throw error
      // The writer is told all the same, and its own error would take the place of this one.
      rethrowLater(error)
    }
    if (write?.handler !== writer || !holds()) return
  }
  if (writer && writer !== reader) writer(event, write)
}
