import { debug } from './debug.js'
import { native } from './native.js'

/**
 * Memory for bytes that JavaScript looks at.
 *
 * Copies go to a pool from front to back; a region is never used twice, so a Buffer that read()
 * gave out stays what it is for ever. Borrowed views lie on the blocks themselves and change when
 * a block is used again.
 */

const poolBytes = 256 * 1024
const ownMemoryFrom = poolBytes / 4

let pool: ArrayBuffer
/** Bytes of the pool that nobody has seen yet; they are its last ones. */
let room = 0

function renew(): void {
  // allocUnsafeSlow: its own ArrayBuffer, not zeroed, not shared with anybody. Memory of our own
  // behind external ArrayBuffers was slower by half: V8 collects them too late.
  const memory = Buffer.allocUnsafeSlow(poolBytes)
  pool = memory.buffer
  room = poolBytes
  native.setPool(memory)
}

/** Consumes up to max bytes of a reader into a Buffer; a negative errno when it cannot. */
export function readCopy(buffer: number, reader: number, max: number): Buffer | number {
  let n = native.read(buffer, reader, max, room)
  if (n > room) {
    const needed = n - room
    if (needed >= ownMemoryFrom) {
      const memory = Buffer.allocUnsafeSlow(needed)
      n = native.readInto(buffer, reader, memory, 1, 0)
      return n < 0 ? n : n === needed ? memory : memory.subarray(0, n)
    }
    renew()
    n = native.read(buffer, reader, Math.min(max, needed), room)
  }
  if (n < 0) return n
  const view = Buffer.from(pool, poolBytes - room, n)
  room -= n
  return view
}

const slabs: (ArrayBuffer | undefined)[] = []
const where = new Int32Array(2)
const copyBorrowed = debug.has('borrow')

/** A view on the contiguous bytes at a reader's position, without consuming or copying them. */
export function borrow(buffer: number, reader: number): Buffer | number {
  const n = native.borrow(buffer, reader, where)
  if (n <= 0) return n
  const position = where[0] ?? 0
  const slab = (slabs[position] ??= native.slab(position))
  const view = Buffer.from(slab, where[1], n)
  return copyBorrowed ? Buffer.from(view) : view
}

/** A view on contiguous room of a buffer, at least a byte; a negative errno when it has none. */
export function roomView(buffer: number): Buffer | number {
  const n = native.bufferReserve(buffer, where)
  if (n < 0) return n
  const position = where[0] ?? 0
  const slab = (slabs[position] ??= native.slab(position))
  return Buffer.from(slab, where[1], n)
}

renew()
