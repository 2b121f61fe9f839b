import { closeSync } from 'node:fs'
import type { ParsedAddress } from './address.js'
import {
  abortError,
  closedError,
  Code,
  descriptorError,
  errno as numbers,
  systemError,
} from './errors.js'
import { NativePromise } from './globals.js'
import { native } from './native.js'
import type { ConnectOptions } from './options.js'
import { startTimeouts, type TimeoutOptions } from './timeouts.js'
import type { VConnection } from './vconnection.js'

/** Who is told, on the stack of a later dispatch. */
export interface PendingConnect {
  resolve: (vc: VConnection) => void
  reject: (error: Error) => void
  /** As errors name it. */
  address?: string
  /** The descriptor that its user gives away when this succeeds. */
  adopts?: number | undefined
  timeouts: TimeoutOptions
}

/** Descriptors whose adoption has not ended: their numbers are about to be closed. */
const adopting = new Set<number>()

/** The connects of one reactor that have not ended. */
export class Connects {
  readonly #pending = new Map<number, PendingConnect>()
  readonly #reactor: number
  readonly #changed: () => void

  /** changed: size is another. */
  constructor(reactor: number, changed: () => void) {
    this.#reactor = reactor
    this.#changed = changed
  }

  get size(): number {
    return this.#pending.size
  }

  start(
    id: number,
    to: ParsedAddress,
    address: string,
    options: ConnectOptions & { fd?: number },
    timeouts: TimeoutOptions,
    signal?: AbortSignal,
  ): Promise<VConnection> {
    if (signal?.aborted) return NativePromise.reject(abortError(signal.reason))
    const promise = new NativePromise<VConnection>((resolve, reject) => {
      const pending = { resolve, reject, address, adopts: options.fd, timeouts }
      const r = this.begin(id, to, options, pending)
      if (r < 0) reject(descriptorError(r, options.fd) ?? systemError(r, 'connect', address))
    })
    if (!signal) return promise
    const abort = () => {
      this.cancel(id)?.reject(abortError(signal.reason))
    }
    signal.addEventListener('abort', abort, { once: true })
    return promise.finally(() => {
      signal.removeEventListener('abort', abort)
    })
  }

  /** Starts one. A negative errno: it could not, and nobody is told. */
  begin(id: number, to: ParsedAddress, options: object, pending: PendingConnect): number {
    const { adopts } = pending
    if (adopts !== undefined && adopting.has(adopts)) return -numbers.EBUSY
    const r = native.connect(this.#reactor, id, to.kind, to.host, to.port, options)
    if (r < 0) return r
    if (adopts !== undefined) adopting.add(adopts)
    this.#pending.set(id, pending)
    this.#changed()
    return r
  }

  /** Gives one up; nobody is told. */
  cancel(id: number): PendingConnect | undefined {
    const pending = this.#take(id)
    native.cancelConnect(this.#reactor, id)
    return pending
  }

  /** False: nobody waits for it any more. */
  opened(id: number, vc: VConnection): boolean {
    const pending = this.#take(id)
    if (pending?.adopts !== undefined) closeSync(pending.adopts) // the engine has a duplicate
    if (pending) startTimeouts(vc, pending.timeouts)
    pending?.resolve(vc)
    return pending !== undefined
  }

  failed(id: number, code: number, errno: number): void {
    const pending = this.#take(id)
    pending?.reject(
      systemError(
        code >= Code.THROTTLING && code <= Code.CONNECT_TIMEOUT ? code : errno || code,
        'connect',
        pending.address,
      ),
    )
  }

  close(): void {
    for (const [id, { reject, adopts }] of this.#pending) {
      if (adopts !== undefined) continue // whose the descriptor is, only the record that comes knows
      native.cancelConnect(this.#reactor, id)
      reject(closedError('connect'))
      this.#pending.delete(id)
    }
  }

  #take(id: number): PendingConnect | undefined {
    const pending = this.#pending.get(id)
    if (pending?.adopts !== undefined) adopting.delete(pending.adopts)
    this.#pending.delete(id)
    this.#changed()
    return pending
  }
}
