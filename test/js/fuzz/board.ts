/** So many connections can be named in a round. */
const places = 4096
/** Beside label: what has been done to a connection. */
export const Mark = {
  /** Its messages may be lost: it was failed, aborted, or its thread has gone. */
  cut: 1,
  /** Nobody can say which byte comes next: its reader went away in the middle of a message. */
  lost: 2,
  /** It was accepted, or is the passive end of a pair. */
  passive: 4,
} as const

const fields = 4 // marks, salt, position, unused

/**
 * What the threads of a round know in common, in shared memory: the ids of connections, for calls by
 * id, and where their readers are, for whoever gets one of another thread.
 */
export class Board {
  readonly #head: Int32Array // [number of places taken, something is wrong]
  readonly #ids: BigInt64Array
  readonly #words: Int32Array

  constructor(readonly memory = new SharedArrayBuffer(64 + places * 8 + places * fields * 4)) {
    this.#head = new Int32Array(memory, 0, 16)
    this.#ids = new BigInt64Array(memory, 64, places)
    this.#words = new Int32Array(memory, 64 + places * 8, places * fields)
  }

  /** A new connection: its label, from 1. 0: there is no place left. */
  add(id: bigint): number {
    const place = Atomics.add(this.#head, 0, 1) + 1
    if (place >= places) return 0
    Atomics.store(this.#ids, place, BigInt.asIntN(64, id))
    return place
  }
  get size(): number {
    return Math.min(places - 1, Atomics.load(this.#head, 0))
  }
  id(label: number): bigint {
    return BigInt.asUintN(64, Atomics.load(this.#ids, label))
  }
  label(id: bigint): number {
    const wanted = BigInt.asIntN(64, id)
    for (let label = this.size; label > 0; label--) {
      if (Atomics.load(this.#ids, label) === wanted) return label
    }
    return 0
  }

  mark(label: number, bits: number): void {
    Atomics.or(this.#words, label * fields, bits)
  }
  marked(label: number, bit: number): boolean {
    return (Atomics.load(this.#words, label * fields) & bit) !== 0
  }
  /** Where its reader is. */
  setPlace(label: number, salt: number, at: number): void {
    Atomics.store(this.#words, label * fields + 1, salt)
    Atomics.store(this.#words, label * fields + 2, at)
  }
  place(label: number): { salt: number; at: number } {
    return {
      salt: Atomics.load(this.#words, label * fields + 1),
      at: Atomics.load(this.#words, label * fields + 2),
    }
  }

  /** Something is wrong: everybody stops. */
  fail(): void {
    Atomics.store(this.#head, 1, 1)
  }
  get failed(): boolean {
    return Atomics.load(this.#head, 1) === 1
  }
}
