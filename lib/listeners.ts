import { lookUpFirst, parseAddress, type ParsedAddress } from './address.js'
import {
  abortError,
  closedError,
  descriptorError,
  incompatible,
  systemError,
  wrongType,
} from './errors.js'
import { Record } from './events.js'
import { NativePromise } from './globals.js'
import { Ids } from './ids.js'
import { Listener } from './listener.js'
import { native } from './native.js'
import { checkOptions, checkTogether, flat, type ListenOptions } from './options.js'
import type { Reactor } from './reactor.js'
import { Request } from './request.js'
import { given, type TimeoutOptions } from './timeouts.js'
import type { VConnection } from './vconnection.js'
import { distributions } from './workers.js'

/** With a handler, which is called for each connection; or without, for a `for await` loop. */
export type ListenArguments =
  | [
      address: string | readonly string[],
      handler: ((vc: VConnection) => void) | undefined,
      options?: ListenOptions,
    ]
  | [address: string | readonly string[], options?: ListenOptions]

/** What the listeners of a reactor have in common. */
interface Common extends TimeoutOptions {
  maxConnections: number
}

/** The listeners of one reactor, by the addresses that they listen on. */
export class Listeners {
  readonly #open = new Map<number, Listener>()
  readonly #ids = new Ids((id) => this.#open.has(id))
  readonly #requests = new Set<Request<never>>()

  /** changed: size is another. */
  constructor(
    private readonly reactor: Reactor,
    private readonly changed: () => void,
    private readonly common: Common,
  ) {}

  get size(): number {
    return this.#open.size
  }

  all(): Listener[] {
    return [...new Set(this.#open.values())]
  }

  /** Those whose names are still being looked up: the reactor closes. */
  giveUp(): void {
    for (const request of this.#requests) request.reject(closedError('listen'))
  }

  /** Reactor.listen() */
  async open(...args: ListenArguments): Promise<Listener> {
    const [address, second, third] = args
    const alone = typeof second === 'object' && second !== null && third === undefined
    const handler = alone ? undefined : second
    const chosen = alone ? second : third
    const options = chosen === undefined ? {} : chosen
    const list = typeof address === 'string' ? [address] : address
    if (!Array.isArray(list) || list.length === 0) {
      throw wrongType('address', 'an address or a non-empty array of addresses', address)
    }
    const parsed = (list as string[]).map(parseAddress)
    if (handler !== undefined && typeof handler !== 'function') {
      throw wrongType('handler', 'a function, or undefined', handler)
    }
    checkOptions('listen', options)
    checkTogether('listen', options, parsed)
    if (options.fd !== undefined && list.length > 1) {
      throw incompatible('fd', 'several addresses', 'one descriptor is one socket')
    }
    this.reactor.assertOpen('listen')
    const { signal, distribute } = options
    if (signal?.aborted) throw abortError(signal.reason)
    if (distribute !== undefined && !handler)
      throw wrongType('handler', 'a function, since connections are distributed', handler)
    if (distribute !== undefined) this.reactor.sharedSeat('listen with distribute')
    const chooser = typeof distribute === 'function' ? distribute : undefined
    const distribution = typeof distribute === 'string' ? distributions[distribute] : 0
    // What was checked is what is used, whatever its owner does meanwhile.
    const { maxConnections: reactorConnections } = this.common
    const timeouts = { ...given(this.common), ...given(options) }
    const used = {
      ...flat(options),
      ...timeouts,
      distribution,
      reactorConnections,
      paused: !handler,
    }
    const request = new Request<ParsedAddress[]>(this.#requests, { signal })
    NativePromise.all(parsed.map((p) => lookUpFirst(p, 'listen'))).then(
      (found) => {
        request.resolve(found)
      },
      (error: unknown) => {
        request.reject(error as Error)
      },
    )
    const resolved = await request.promise
    if (signal?.aborted) throw abortError(signal.reason)
    this.reactor.assertOpen('listen')

    const listener = new Listener(this.reactor, handler, chooser, timeouts, used.onLimited)
    for (const [i, { kind, host, port }] of resolved.entries()) {
      const r = this.#start(listener, { kind, host, port }, used)
      if (r < 0) {
        this.changed()
        await listener.close()
        throw descriptorError(r, used.fd) ?? systemError(r, 'listen', list[i] as string)
      }
    }
    this.changed()
    return listener
  }

  /** Listens on one address before it returns; a negative errno when it cannot. */
  openNow(
    at: ParsedAddress,
    handler: (vc: VConnection) => void,
    options: object,
  ): Listener | number {
    const listener = new Listener(this.reactor, handler, undefined, {}, undefined)
    const r = this.#start(listener, at, { ...options, distribution: 0, reactorConnections: 0 })
    this.changed()
    return r < 0 ? r : listener
  }

  #start(listener: Listener, { kind, host, port }: ParsedAddress, options: object): number {
    const id = this.#ids.take()
    const r = native.listen(this.reactor.handle, id, kind, host, port, options)
    if (r < 0) return r
    this.#open.set(id, listener)
    listener.add(id)
    return r
  }

  accepted(id: number, vc: VConnection): void {
    const listener = this.#open.get(id)
    if (listener) listener.accept(vc)
    else vc.doIoClose()
  }

  /** A record about a listener itself. */
  told(kind: number, id: number, errno: number): void {
    const listener = this.#open.get(id)
    if (kind === Record.ACCEPT_ERROR) {
      listener?.failed(errno)
    } else if (kind === Record.ACCEPT_LIMITED) {
      listener?.limited(errno)
    } else {
      this.#open.delete(id)
      listener?.stopped(id)
      this.changed()
    }
  }
}
