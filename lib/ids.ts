import { debug } from './debug.js'
import { maxInt } from './options.js'

/** NETVC_DEBUG=ids: the last 256 again and again, so that tests pass the end. */
const first = debug.has('ids') ? maxInt - 255 : 1

/**
 * @internal Numbers that requests of one kind are known by to native code. They fit an int32 of a
 * record (native/binding/event_ring.h), begin again after the last one, and skip those in use.
 */
export class Ids {
  #next = first

  constructor(private readonly inUse: (id: number) => boolean) {}

  take(): number {
    for (;;) {
      const id = this.#next
      this.#next = id === maxInt ? first : id + 1
      if (!this.inUse(id)) return id
    }
  }
}
