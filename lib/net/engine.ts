import type { NetvcError } from '../errors.js'
import type { Listener } from '../listener.js'
import { Reactor } from '../reactor.js'
import type { VConnection } from '../vconnection.js'

/** Where to: an IP literal and a port, or the path of a unix socket. */
export interface Endpoint {
  address: string
  /** undefined for a path. */
  port: number | undefined
}

let reactor: Reactor | undefined

/** The engine of this JavaScript thread: inline, made when it is first needed. */
function engine(): Reactor {
  if (reactor === undefined || reactor.closed) reactor = new Reactor()
  return reactor
}

/** `\0name` is one of the abstract namespace; `@name` in a directory is a file. */
function pathOf(path: string): string {
  if (path.startsWith('\0')) return `@${path.slice(1)}`
  return path.startsWith('@') ? `./${path}` : path
}

function target({ address, port }: Endpoint): { kind: 0 | 1; host: string; port: number } {
  return port === undefined
    ? { kind: 1, host: pathOf(address), port: 0 }
    : { kind: 0, host: address, port }
}

/** What is told, on a later turn: a connection, or why there is none. */
export interface ConnectTold {
  resolve: (vc: VConnection) => void
  reject: (error: Error) => void
}

/** Connects. A negative errno: nothing is told. The answer gives up what is told then. */
export function openConnection(
  to: Endpoint,
  options: { localAddress?: string; localPort?: number; noDelay: boolean },
  told: ConnectTold,
): (() => void) | number {
  const { connects } = engine()
  const id = connects.begin(target(to), { timeout: 0, ...options }, { ...told, timeouts: {} })
  return id < 0
    ? id
    : () => {
        connects.cancel(id)
      }
}

/** Takes an open descriptor over; told as by openConnection. */
export function openDescriptor(fd: number, told: ConnectTold): void {
  engine().adopt(fd).then(told.resolve, told.reject)
}

export interface ListenHow {
  backlog: number
  ipv6Only: boolean
  reusePort: boolean
  noDelay: boolean
  keepAlive: boolean
  /** Seconds. */
  keepAliveIdle?: number
  fd?: number
}

/** Listens at once, or answers with a negative errno. */
export function openListener(
  at: Endpoint,
  how: ListenHow,
  accept: (vc: VConnection) => void,
): Listener | number {
  return engine().listeners.openNow(target(at), accept, how)
}

/** So many more listeners or connects that do not keep this thread alive. */
export function discount(change: number): void {
  engine().discount(change)
}

/** The errno of what the engine rejected with; undefined for what only this package knows. */
export function errnoOf(error: Error): number | undefined {
  const { errno } = error as NetvcError
  return errno !== undefined && errno < 0 ? errno : undefined
}
