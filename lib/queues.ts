import { NetvcError, errno, outOfRange, wrongType } from './errors.js'
import { NativePromise, now } from './globals.js'
import type { VCHandle } from './handle.js'
import { native } from './native.js'
import { expectNotice } from './notices.js'
import { checkOptions } from './options.js'

/** Limits of a reactor's queues, in all; 0: no limit. Divided by its net threads. */
export interface QueueLimits {
  /** Connections in the keep-alive and the active queue together. */
  maxQueued?: number
  /** Connections in the active queue. */
  maxActive?: number
}

/** What Reactor.throttle() answers; of the process. */
export interface ThrottleState {
  /** Sockets of netvc that are open. */
  open: number
  /** How many may be; 0: any number. */
  limit: number
  /** Descriptors are nearly used up: nothing is accepted or connected for a while. */
  emergency: boolean
}

/** @internal */
export class Queues {
  #limits: Required<QueueLimits> = { maxQueued: 0, maxActive: 0 }

  constructor(
    private readonly reactor: number,
    limits: QueueLimits,
  ) {
    if (limits.maxQueued || limits.maxActive) this.set(limits)
  }

  set({ maxQueued, maxActive }: QueueLimits): void {
    this.#limits = {
      maxQueued: maxQueued ?? this.#limits.maxQueued,
      maxActive: maxActive ?? this.#limits.maxActive,
    }
    native.setQueueLimits(this.reactor, this.#limits.maxQueued, this.#limits.maxActive)
  }
}

/** @internal Reactor.setQueueLimits() */
export function checkQueueLimits(limits: unknown): void {
  if (limits === undefined) throw wrongType('limits', 'an object', limits)
  checkOptions('queues', limits)
}

/** @internal VConnection.addToActiveQueue() */
export function addToActive(vc: VCHandle): Promise<boolean> {
  return new NativePromise((resolve, reject) => {
    const token = expectNotice((code) => {
      if (code === 0 || code === errno.EBUSY) resolve(code === 0)
      else reject(new NetvcError('ERR_VC_CLOSED', 'addToActiveQueue: the connection is closed'))
    }, true)
    native.addToActiveQueue(vc.slot, vc.version, token)
  })
}

/** @internal Reactor.setThrottle() */
export function setThrottle(connections: number): void {
  if (typeof connections !== 'number') throw wrongType('connections', 'a number', connections)
  if (!Number.isInteger(connections) || connections < -1) {
    throw outOfRange('connections', 'an integer >= -1', connections)
  }
  native.setThrottle(connections)
}

/** @internal Reactor.throttle() */
export function throttleState(): ThrottleState {
  const [open, limit, emergency] = native.throttle()
  return { open, limit, emergency: emergency === 1 }
}

const warnEveryMs = 600_000
const warned = new Map<string, number>()
const warnings = {
  throttled: [
    'NETVC_THROTTLED',
    'accepting waits: as many sockets are open as the descriptor limit allows',
  ],
  descriptors: ['NETVC_NO_DESCRIPTORS', 'no descriptor is left: those who connect are closed'],
} as const

/** @internal TH-6: once in ten minutes each. */
export function warnOfShortage(limit: string): void {
  if (limit !== 'throttled' && limit !== 'descriptors') return
  const at = now()
  if (at - (warned.get(limit) ?? -warnEveryMs) < warnEveryMs) return
  warned.set(limit, at)
  const [code, text] = warnings[limit]
  process.emitWarning(`netvc: ${text}; raise ulimit -n`, { type: 'NetvcWarning', code })
}
