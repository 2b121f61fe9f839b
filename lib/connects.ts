import { closeSync } from 'node:fs'
import { getDefaultAutoSelectFamilyAttemptTimeout } from 'node:net'
import { isName, lookUpAll, urlOf, type ParsedAddress } from './address.js'
import { Connector } from './connector.js'
import {
  abortError,
  aggregateError,
  closedError,
  Code,
  descriptorError,
  errno as numbers,
  messageError,
  refusalError,
  systemError,
  type NetvcError,
} from './errors.js'
import { NativePromise } from './globals.js'
import { Ids } from './ids.js'
import { native } from './native.js'
import type { ConnectOptions } from './options.js'
import { Request } from './request.js'
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
const nowhere: ParsedAddress = { kind: 0, host: '', port: 0 }
const defaultTimeout = 30_000

/** The connects of one reactor that have not ended. */
export class Connects {
  readonly #requests = new Set<Request<never>>()
  /** Those that native code has, by their number there. */
  readonly #pending = new Map<number, PendingConnect>()
  readonly #ids = new Ids((id) => this.#pending.has(id))
  readonly #reactor: number
  readonly #changed: () => void
  #lookUps = 0

  /** changed: size is another. */
  constructor(reactor: number, changed: () => void) {
    this.#reactor = reactor
    this.#changed = changed
  }

  get size(): number {
    return this.#pending.size + this.#lookUps
  }

  /** Reactor.connect(): to the first address of a name that answers, all within options.timeout. */
  open(
    to: ParsedAddress,
    address: string,
    options: ConnectOptions,
    timeouts: TimeoutOptions,
  ): Promise<VConnection> {
    const { signal, timeout = defaultTimeout, localAddress } = options
    if (signal?.aborted) return NativePromise.reject(abortError(signal.reason))
    const late = () => systemError(Code.CONNECT_TIMEOUT, 'connect', address)
    if (!isName(to)) {
      const request = new Request<VConnection>(this.#requests, { signal })
      this.#try(request, [to], address, options, timeouts)
      return request.promise
    }
    // One clock for the look-up and all attempts.
    const request = new Request<VConnection>(this.#requests, { signal, timeout, late })
    const lookUpOver = () => {
      request.giveUp = undefined
      this.#lookUps--
      this.#changed()
    }
    request.giveUp = lookUpOver
    this.#lookUps++
    this.#changed()
    lookUpAll(to, 'connect', localAddress).then(
      (found) => {
        if (request.over) return
        lookUpOver()
        this.#try(request, found, address, { ...options, timeout: 0 }, timeouts)
      },
      (error: unknown) => {
        request.reject(error as Error)
      },
    )
    return request.promise
  }

  #try(
    request: Request<VConnection>,
    addresses: readonly ParsedAddress[],
    address: string,
    options: object,
    timeouts: TimeoutOptions,
  ): void {
    const named = (to: ParsedAddress) => (addresses.length === 1 ? address : urlOf(to))
    const connector = new Connector(addresses, getDefaultAutoSelectFamilyAttemptTimeout(), {
      begin: (to, resolve, reject) => {
        const id = this.begin(to, options, { resolve, reject, address: named(to), timeouts })
        return id < 0
          ? systemError(id, 'connect', named(to))
          : () => {
              this.cancel(id)
            }
      },
      late: (to) => systemError(Code.CONNECT_TIMEOUT, 'connect', named(to)),
      connected: (vc) => {
        request.resolve(vc)
      },
      failed: (errors) => {
        request.reject(errors.length === 1 ? errors[0] : aggregateError(errors, 'connect', address))
      },
    })
    request.giveUp = () => {
      connector.cancel()
    }
    connector.start()
  }

  /** Reactor.adopt() */
  adopt(fd: number, timeouts: TimeoutOptions): Promise<VConnection> {
    const address = `fd ${String(fd)}`
    return new NativePromise<VConnection>((resolve, reject) => {
      const r = this.begin(nowhere, { fd }, { resolve, reject, address, adopts: fd, timeouts })
      if (r < 0) reject(descriptorError(r, fd) ?? systemError(r, 'connect', address))
    })
  }

  /** Starts one: its number, for cancel(). A negative errno: it could not, and nobody is told. */
  begin(to: ParsedAddress, options: object, pending: PendingConnect): number {
    const { adopts } = pending
    if (adopts !== undefined && adopting.has(adopts)) return -numbers.EBUSY
    const id = this.#ids.take()
    const r = native.connect(this.#reactor, id, to.kind, to.host, to.port, options)
    if (r < 0) return r
    if (adopts !== undefined) adopting.add(adopts)
    this.#pending.set(id, pending)
    this.#changed()
    return id
  }

  /** Gives one up; nobody is told. */
  cancel(id: number): void {
    if (this.#take(id)) native.cancelConnect(this.#reactor, id)
  }

  /** False: nobody waits for it any more. */
  opened(id: number, vc: VConnection): boolean {
    const pending = this.#take(id)
    if (pending?.adopts !== undefined) closeSync(pending.adopts) // the engine has a duplicate
    if (pending) startTimeouts(vc, pending.timeouts)
    pending?.resolve(vc)
    return pending !== undefined
  }

  /** text: what setFailed() was given. */
  failed(id: number, code: number, errno: number, text: string): void {
    const own = code >= Code.THROTTLING && code <= Code.CONNECT_TIMEOUT
    const pending = this.#take(id)
    pending?.reject(failure(own ? code : errno || code, text, pending.address))
  }

  close(): void {
    for (const request of this.#requests) request.reject(closedError('connect'))
    for (const [id, { reject, adopts }] of this.#pending) {
      if (adopts !== undefined) continue // whose the descriptor is, only the record that comes knows
      this.cancel(id)
      reject(closedError('connect'))
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

/** By its id it can fail, or be closed, before it is there. */
function failure(code: number, text: string, address: string | undefined): NetvcError {
  if (code === Code.CLOSED) return refusalError(code, 'connect')!
  if (text !== '' || code === Code.FAILEDSOCKET) return messageError(code, 'connect', text)
  return systemError(code, 'connect', address)
}
