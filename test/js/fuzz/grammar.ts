import { VCEvent, type MIOBuffer, type VIO } from 'netvc'

const timeouts = new Set([VCEvent.INACTIVITY_TIMEOUT, VCEvent.ACTIVE_TIMEOUT])
const ends = new Set([VCEvent.READ_COMPLETE, VCEvent.WRITE_COMPLETE, VCEvent.EOS, VCEvent.ERROR])
const sides: Partial<Record<VCEvent, 0 | 1>> = {
  [VCEvent.READ_READY]: 0,
  [VCEvent.READ_COMPLETE]: 0,
  [VCEvent.WRITE_READY]: 1,
  [VCEvent.WRITE_COMPLETE]: 1,
}

/** What one operation may be told, and when: INV-1, INV-2, INV-3. One for each direction. */
export class Grammar {
  #generation: number | undefined
  #end: VCEvent | undefined
  #ndone = 0
  /** nbytes was changed during this arming: COMPLETE may be behind it, and READY once more (VIO-1). */
  changed = false
  /** What had been written into the buffer when the operation was armed. */
  #before = 0
  readonly #trail: string[] = []

  /** It is about to be armed: a net thread may be at it before the call returns. */
  arming(buffer: MIOBuffer | undefined): void {
    this.#before = buffer?.isFreed === false ? buffer.produced : 0
  }

  armed(vio: VIO): void {
    this.#generation = vio.generation
    this.#end = undefined
    this.#ndone = 0
    this.changed = false
  }

  /** What is wrong with the event, or nothing. */
  told(event: VCEvent, vio: VIO): string | undefined {
    const name = VCEvent[event]
    this.#trail.push(`${name} ${String(vio.ndone)}/${String(vio.nbytes)}`)
    if (this.#trail.length > 12) this.#trail.shift()
    const wrong = (what: string) => `${what}: ${name}; ${this.#trail.join(', ')}`
    if (vio.vc.closed) return wrong('INV-1: told after close')
    // A handler that was set after doIoWrite(null) hears of timeouts, and of nothing else.
    if (timeouts.has(event) && vio.generation !== this.#generation) return undefined
    if (vio.generation !== this.#generation)
      return wrong('INV-2: of an operation that was replaced')
    const side = sides[event]
    if (side !== undefined && side !== vio.side) return wrong('INV-2: of the other side')
    if (vio.ndone < this.#ndone) return wrong('INV-3: ndone went back')
    if (vio.ndone > vio.nbytes && !this.changed) return wrong('INV-3: ndone beyond nbytes')
    this.#ndone = vio.ndone
    if (timeouts.has(event)) return undefined
    if (this.#end !== undefined) {
      const again = this.changed && (this.#end < VCEvent.EOS || !ends.has(this.#end))
      if (!again) return wrong(`INV-2: after ${VCEvent[this.#end]}`)
    }
    const complete = event === VCEvent.READ_COMPLETE || event === VCEvent.WRITE_COMPLETE
    if (complete && vio.ndone < vio.nbytes) return wrong('INV-3: complete before nbytes')
    this.#end = ends.has(event) ? event : undefined
    const { buffer } = vio
    if (vio.side === 0 && buffer && !buffer.isFreed && buffer.produced - this.#before < vio.ndone)
      return wrong(`INV-3: more than the buffer has got, ${String(buffer.produced - this.#before)}`)
    return undefined
  }
}
