import { Control, native } from './native.js'

/**
 * What a handler is told, with Apache Traffic Server's names. `VCEvent[event]` is the name.
 *
 * For one operation (one call of doIoRead or doIoWrite) any number of READY and TIMEOUT events come
 * first, then at most one of COMPLETE, EOS and ERROR.
 */
export enum VCEvent {
  /** Bytes were added to the buffer of a read operation. */
  READ_READY = 1,
  /** A write operation can take more bytes, or has taken some. */
  WRITE_READY = 2,
  /** nbytes were read. */
  READ_COMPLETE = 3,
  /** The kernel has accepted nbytes. */
  WRITE_COMPLETE = 4,
  /** The peer has ended its side, or reset the connection (vc.error says which). */
  EOS = 5,
  /** The operation failed: vc.error. */
  ERROR = 6,
  INACTIVITY_TIMEOUT = 7,
  ACTIVE_TIMEOUT = 8,
  /** See VConnection.trapWriteBufferEmpty. */
  WRITE_BUFFER_EMPTY = 9,
}

/** Beyond the events; native/binding/event_ring.h. */
export const Record = {
  ACCEPT: 20,
  ACCEPT_ERROR: 21,
  ACCEPT_STOPPED: 22,
  OPEN: 23,
  OPEN_FAILED: 24,
  TUNNEL_END: 25,
  GONE: 26,
  BUFFER_FULL: 27,
  ASSIGNED: 28,
  PARKED: 29,
  ACCEPT_LIMITED: 30,
  NOTICE: 40,
} as const

/** What a record of a connection is handed to. */
export interface RecordTarget {
  readonly version: number
  onVioEvent(kind: number, side: number, generation: number, count: number, error: number): void
  onRecord(kind: number, generation: number, error: number): void
}

/** A record that is not about a known connection. */
export type GlobalRecord = (
  kind: number,
  slot: number,
  version: number,
  id: number,
  count: number,
  error: number,
  side: number,
  more: number,
) => void

/** Weak, so that a reactor that its user has forgotten, with nothing open, can go. */
export interface PortOwner {
  readonly onRecord: GlobalRecord
}

/**
 * Connections by slot. Strong while something is armed or pending, so that a connection lives as
 * long as it can call a handler; weak otherwise (lib/hold.ts).
 */
export const targets: (RecordTarget | undefined)[] = []
export const weakTargets = new Map<number, WeakRef<RecordTarget>>()
/**
 * By slot: connections that the engine is through with, and whose slot another one has by now,
 * before this thread has read the last records of the old one: those come by the ring of its net
 * thread, the new one may come by another, or be made here (Reactor.pair). Strong, until GONE is read.
 */
export const displaced = new Map<number, RecordTarget[]>()

const ports: (Int32Array | undefined)[] = []
const portOwners: (WeakRef<PortOwner> | undefined)[] = []
const { control } = native

/** Starts to listen to a port of this thread. */
export function openPort(port: number, owner: PortOwner): void {
  ports[port] = native.portRecords(port)
  portOwners[port] = new WeakRef(owner)
}

export function closePort(port: number): void {
  ports[port] = undefined
  portOwners[port] = undefined
}

export function findTarget(slot: number, version: number): RecordTarget | undefined {
  const target = targets[slot] ?? weakTargets.get(slot)?.deref()
  if (target?.version === version) return target
  return displaced.size === 0
    ? undefined
    : displaced.get(slot)?.find((old) => old.version === version)
}

/**
 * Called by native code with all records that are there: n of them from `from` on. The cursor moves
 * before each handler, so that native code can go on behind a handler that threw, and is read again
 * after it, since a nested dispatch (reenableRe) may have moved it.
 */
function dispatch(port: number, from: number, n: number): void {
  const records = ports[port]
  if (records === undefined) {
    control[Control.CURSOR] = n
    return
  }
  for (let i = control[Control.CURSOR]; i < n; i = control[Control.CURSOR]!) {
    control[Control.CURSOR] = i + 1
    const at = (from + i) << 3
    const kind = records[at]
    if (kind === 0) continue // merged with an earlier one
    const slot = records[at + 1]
    const version = records[at + 2]
    const id = records[at + 3]
    if (kind < Record.ACCEPT) {
      const held = targets[slot]
      const target = held?.version === version ? held : findTarget(slot, version)
      target?.onVioEvent(kind, records[at + 6], id, records[at + 4], records[at + 5])
    } else if (kind === Record.GONE || kind === Record.BUFFER_FULL) {
      findTarget(slot, version)?.onRecord(kind, id, records[at + 5])
    } else {
      portOwners[port]
        ?.deref()
        ?.onRecord(
          kind,
          slot,
          version,
          id,
          records[at + 4],
          records[at + 5],
          records[at + 6],
          records[at + 7],
        )
    }
  }
}

native.setDispatch(dispatch)
