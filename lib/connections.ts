import { Code, messageError, wrongType } from './errors.js'
import { findTarget } from './events.js'
import { VCHandle } from './handle.js'
import { native } from './native.js'
import { VConnection } from './vconnection.js'

/** One row of Reactor.connections(): what was true when it was asked. */
export interface ConnectionInfo {
  id: bigint
  /** Looked up when read; undefined when the connection has gone meanwhile. */
  readonly remoteAddress: string | undefined
  readonly localAddress: string | undefined
  direction: 'in' | 'out'
  /** `half-open`: one side was shut down. `tunneled`: a tunnel has it. */
  state: 'connecting' | 'open' | 'half-open' | 'tunneled'
  ageMs: number
  /** Since a byte has moved. */
  idleMs: number
  bytesIn: number
  bytesOut: number
  /** Bytes of messages that wait to be sent. */
  unsent: number
  /** The net thread that has it; 0 for the inline engine. */
  thread: number
  /** See VConnection.addToKeepAliveQueue(). */
  queue: 'keep-alive' | 'active' | undefined
}

/** One row of Reactor.recentlyClosed(). */
export interface ClosedConnectionInfo {
  id: bigint
  remoteAddress: string
  direction: 'in' | 'out'
  /** `closed`: by its user. Otherwise the code of what it failed with, e.g. `ECONNRESET`. */
  reason: string
  /** How long it lived, and how long ago it ended. */
  openMs: number
  agoMs: number
  bytesIn: number
  bytesOut: number
  thread: number
}

const queues = [undefined, 'keep-alive', 'active'] as const
const queueField = 11
const fields = 12 // native/binding/connection_table.cc
const outbound = 2

class Row implements ConnectionInfo {
  readonly id: bigint
  readonly direction: 'in' | 'out'
  readonly state: ConnectionInfo['state']
  readonly ageMs: number
  readonly idleMs: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly unsent: number
  readonly thread: number
  readonly queue: ConnectionInfo['queue']
  readonly #handle: VCHandle

  constructor(row: Float64Array) {
    const [slot, version, context, age, idle, read, written, unsent, shut, thread, state, queue] =
      row
    this.#handle = new VCHandle(slot | 0, version | 0)
    this.id = this.#handle.id
    this.direction = context === outbound ? 'out' : 'in'
    this.state =
      state === 1 ? 'connecting' : state === 2 ? 'tunneled' : shut === 0 ? 'open' : 'half-open'
    this.ageMs = age!
    this.idleMs = idle!
    this.bytesIn = read!
    this.bytesOut = written!
    this.unsent = unsent!
    this.thread = thread!
    this.queue = queues[queue]
  }

  get remoteAddress(): string | undefined {
    return this.#handle.remoteAddress
  }
  get localAddress(): string | undefined {
    return this.#handle.localAddress
  }
}

/** @internal */
export function connectionTable(reactor: number): ConnectionInfo[] {
  const numbers = native.connections(reactor)
  const rows: ConnectionInfo[] = []
  for (let at = 0; at < numbers.length; at += fields) {
    rows.push(new Row(numbers.subarray(at, at + fields)))
  }
  return rows
}

/** @internal */
export function closedTable(reactor: number): ClosedConnectionInfo[] {
  return native
    .recentlyClosed(reactor)
    .map(([slot, version, url, outbound, code, openMs, agoMs, bytesIn, bytesOut, thread]) => ({
      id: new VCHandle(slot, version).id,
      remoteAddress: url,
      direction: outbound ? ('out' as const) : ('in' as const),
      reason: code === Code.CLOSED ? 'closed' : messageError(code, 'connection', '').code,
      openMs,
      agoMs,
      bytesIn,
      bytesOut,
      thread,
    }))
    .sort((a, b) => b.agoMs - a.agoMs)
}

/** @internal Those that this thread has and that no tunnel has. */
export function* ownConnections(
  reactor: number,
): Generator<[vc: VConnection, queue: ConnectionInfo['queue']]> {
  const numbers = native.connections(reactor)
  for (let at = 0; at < numbers.length; at += fields) {
    const target = findTarget(numbers[at] | 0, numbers[at + 1] | 0)
    if (target instanceof VConnection && !target.closed && !target.tunnel)
      yield [target, queues[numbers[at + queueField]]]
  }
}

/** @internal Reactor.address() */
export function lookUp(id: bigint): VCHandle | undefined {
  const found = handleOf(id)
  if (!found || native.failure(found.slot, found.version) !== 0) return undefined
  const own = findTarget(found.slot, found.version)
  return own instanceof VConnection ? own : found
}

/** @internal What the id answers now, as VCHandle.state. */
export function stateOf(id: bigint): VCHandle['state'] {
  return handleOf(id)?.state ?? 'gone'
}

function handleOf(id: bigint): VCHandle | undefined {
  if (typeof id !== 'bigint') throw wrongType('id', 'a bigint, as VConnection.id', id)
  if (id < 0n || id > 0xffffffffffffffffn) return undefined
  return new VCHandle(Number(BigInt.asIntN(32, id)), Number(BigInt.asIntN(32, id >> 32n)))
}
