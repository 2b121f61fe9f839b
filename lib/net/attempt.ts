import type { BlockList } from 'node:net'
import { isIPv6 } from 'node:net'
import { clearTimeout, setTimeout } from '../globals.js'
import { tell } from '../loop.js'
import { kLink } from '../stream.js'
import type { VConnection } from '../vconnection.js'
import { openConnection, errnoOf, type Endpoint } from './engine.js'
import { blockedAddress, connectError } from './errors.js'
import { errno } from '../errors.js'
import type { NetSocket } from './socket.js'

export interface AttemptOptions {
  localAddress?: string | undefined
  localPort?: number | undefined
  blockList?: BlockList | undefined
  /** Milliseconds until the next address is tried as well. */
  attemptTimeout: number
}

const familyOf = (to: Endpoint) => (to.port === undefined ? undefined : isIPv6(to.address) ? 6 : 4)

/** Connects a socket to the first of several addresses that answers. */
export class Attempt {
  #next = 0
  #timer: NodeJS.Timeout | undefined
  #cancel: (() => void) | undefined
  readonly #errors: Error[] = []

  constructor(
    private readonly socket: NetSocket,
    private readonly addresses: readonly Endpoint[],
    private readonly options: AttemptOptions,
  ) {}

  cancel(): void {
    clearTimeout(this.#timer)
    this.#cancel?.()
    this.#cancel = undefined
  }

  start(): void {
    while (this.#current && this.#next < this.addresses.length) {
      const to = this.addresses[this.#next++]
      if (this.#try(to)) return
    }
    if (this.#current) this.#fail()
  }

  get #current(): boolean {
    return this.socket[kLink].attempt === this
  }

  /** Whether its end will be told. */
  #try(to: Endpoint): boolean {
    const { socket, options, addresses } = this
    const { address, port } = to
    const family = familyOf(to)
    if (addresses.length > 1) {
      socket.autoSelectFamilyAttemptedAddresses?.push(`${address}:${String(port)}`)
    }
    if (family && options.blockList?.check(address, family === 6 ? 'ipv6' : 'ipv4')) {
      this.#errors.push(blockedAddress(address))
      return false
    }
    socket.emit('connectionAttempt', address, port, family)
    if (!this.#current) return true
    const failed = (error: Error) => {
      this.#errors.push(error)
      socket.emit('connectionAttemptFailed', address, port, family, error)
    }
    const from =
      options.localAddress ?? (options.localPort ? (family === 6 ? '::' : '0.0.0.0') : undefined)
    const how = {
      ...(from !== undefined && { localAddress: from, localPort: options.localPort ?? 0 }),
      noDelay: false,
    }
    const local = from === undefined ? undefined : { address: from, port: options.localPort ?? 0 }
    const link = socket[kLink]
    const started = openConnection(to, how, {
      resolve: (vc) => {
        link.within(() => {
          this.#connected(vc)
        })
      },
      reject: (error) => {
        if (!this.#current) return
        this.cancel()
        const n = errnoOf(error)
        link.within(() => {
          failed(n === undefined ? error : connectError(n, to, local))
          this.start()
        })
      },
    })
    if (typeof started === 'number') {
      failed(connectError(started, to, local))
      return false
    }
    this.#cancel = started
    if (this.#next < addresses.length) {
      this.#timer = setTimeout(() => {
        this.cancel()
        socket.emit('connectionAttemptTimeout', address, port, family)
        this.#errors.push(connectError(errno.ETIMEDOUT, to, local))
        if (this.#current) this.start()
      }, options.attemptTimeout)
    }
    return true
  }

  #connected(vc: VConnection): void {
    const { socket } = this
    clearTimeout(this.#timer)
    this.#cancel = undefined
    if (!this.#current || socket.destroyed) {
      vc.doIoClose()
      return
    }
    const link = socket[kLink]
    link.attempt = undefined
    link.attach(vc)
    // What was written, and reading, do not depend on listeners that throw.
    tell(() => socket.emit('connect'))
    link.runDelayed()
    tell(() => socket.emit('ready'))
    link.startReading()
  }

  #fail(): void {
    const [first] = this.#errors
    if (this.addresses.length === 1) {
      this.socket.destroy(first)
      return
    }
    const error = new AggregateError(this.#errors)
    this.socket.destroy(Object.assign(error, { code: (first as NodeJS.ErrnoException).code }))
  }
}
