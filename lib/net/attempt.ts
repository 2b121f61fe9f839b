import type { BlockList } from 'node:net'
import { isIPv6 } from 'node:net'
import { Connector, type ConnectSteps } from '../connector.js'
import { errno } from '../errors.js'
import { tell } from '../loop.js'
import { kLink } from '../stream.js'
import type { VConnection } from '../vconnection.js'
import { openConnection, errnoOf, type Endpoint } from './engine.js'
import { blockedAddress, connectError } from './errors.js'
import type { NetSocket } from './socket.js'

export interface AttemptOptions {
  localAddress?: string | undefined
  localPort?: number | undefined
  blockList?: BlockList | undefined
  /** Milliseconds until the next address is tried. */
  attemptTimeout: number
}

const familyOf = (to: Endpoint) => (to.port === undefined ? undefined : isIPv6(to.address) ? 6 : 4)

/** Connects a socket to the first of several addresses that answers, and tells it step by step. */
export class Attempt implements ConnectSteps<Endpoint> {
  readonly #connector: Connector<Endpoint>

  constructor(
    private readonly socket: NetSocket,
    private readonly addresses: readonly Endpoint[],
    private readonly options: AttemptOptions,
  ) {
    this.#connector = new Connector(addresses, options.attemptTimeout, this)
  }

  start(): void {
    this.#connector.start()
  }

  cancel(): void {
    this.#connector.cancel()
  }

  begin(
    to: Endpoint,
    opened: (vc: VConnection) => void,
    failed: (error: Error) => void,
  ): (() => void) | Error {
    const { socket, options, addresses } = this
    const { address, port } = to
    const family = familyOf(to)
    if (addresses.length > 1) {
      socket.autoSelectFamilyAttemptedAddresses?.push(`${address}:${String(port)}`)
    }
    if (family && options.blockList?.check(address, family === 6 ? 'ipv6' : 'ipv4')) {
      return blockedAddress(address)
    }
    socket.emit('connectionAttempt', address, port, family)
    const link = socket[kLink]
    if (link.attempt !== this) return () => undefined // destroyed by a listener
    const local = this.#local(family)
    const how = {
      ...(local && { localAddress: local.address, localPort: local.port }),
      noDelay: false,
    }
    const tellFailed = (n: number | Error) => {
      const error = typeof n === 'number' ? connectError(n, to, local) : n
      socket.emit('connectionAttemptFailed', address, port, family, error)
      return error
    }
    const started = openConnection(to, how, {
      resolve: (vc) => {
        link.within(() => {
          opened(vc)
        })
      },
      reject: (error) => {
        link.within(() => {
          failed(tellFailed(errnoOf(error) ?? error))
        })
      },
    })
    return typeof started === 'number' ? tellFailed(started) : started
  }

  late(to: Endpoint): Error {
    const family = familyOf(to)
    this.socket.emit('connectionAttemptTimeout', to.address, to.port, family)
    return connectError(errno.ETIMEDOUT, to, this.#local(family))
  }

  connected(vc: VConnection): void {
    const { socket } = this
    const link = socket[kLink]
    if (link.attempt !== this || socket.destroyed) {
      vc.doIoClose()
      return
    }
    link.attempt = undefined
    link.attach(vc)
    // What was written, and reading, do not depend on listeners that throw.
    tell(() => socket.emit('connect'))
    link.runDelayed()
    tell(() => socket.emit('ready'))
    link.startReading()
  }

  failed(errors: Error[]): void {
    const [first] = errors
    if (errors.length === 1) {
      this.socket.destroy(first)
      return
    }
    const error = new AggregateError(errors)
    this.socket.destroy(Object.assign(error, { code: (first as NodeJS.ErrnoException).code }))
  }

  #local(family: 4 | 6 | undefined): { address: string; port: number } | undefined {
    const { localAddress, localPort } = this.options
    const address = localAddress ?? (localPort ? (family === 6 ? '::' : '0.0.0.0') : undefined)
    return address === undefined ? undefined : { address, port: localPort ?? 0 }
  }
}
