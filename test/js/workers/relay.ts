import { MIOBuffer, VCEvent, type VConnection } from 'netvc'

/** What all threads that relay share. */
export interface Relay {
  seed: number
  /** The pattern that is sent. */
  table: Uint8Array
  /** threadIds to choose from. */
  ids: Int32Array
  /** Assigned so many times; wrong bytes. */
  counts: Int32Array
  /** Ids of the connections, and how far each is. */
  slots: bigint[]
  positions: Int32Array
}

/**
 * Echoes a part of what has come, checking it, and gives the connection to a thread at random. It
 * also runs in workers, from its source text, with what it needs as globals.
 */
function relayBody(r: Relay, { MIOBuffer, VCEvent }: typeof netvc): (vc: VConnection) => void {
  let state = r.seed | 0
  const below = (n: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return (state >>> 8) % n
  }
  return (vc) => {
    const slot = r.slots.indexOf(vc.id)
    const buffer = new MIOBuffer()
    const reader = buffer.allocReader()
    let assigned = false
    vc.doIoRead(
      (event) => {
        if (assigned) Atomics.add(r.counts, 1, 1)
        const ended = event === VCEvent.EOS
        const some = below(Math.min(reader.readAvail, 3000) + 1)
        const bytes = Buffer.from(reader.read(some))
        const from = r.positions[slot]
        for (let i = 0; i < bytes.length; i++) {
          if (bytes[i] !== r.table[(from + i) % r.table.length]) Atomics.add(r.counts, 1, 1)
        }
        r.positions[slot] = from + bytes.length
        if (bytes.length > 0) vc.write(bytes)
        const left = reader.readAvail
        if (ended && left === 0) vc.doIoClose()
        else if (left === 0 && below(4) > 0) return
        else {
          // Who gets it hears of what is left.
          assigned = true
          Atomics.add(r.counts, 0, 1)
          vc.assign(r.ids[below(r.ids.length)])
        }
        buffer.free()
      },
      Infinity,
      buffer,
    )
  }
}

const netvc = { MIOBuffer, VCEvent }

export const relay = (r: Relay) => relayBody(r, netvc)

/** The body of a worker that does the same; the ids of the connections come as a message. */
export const relayWorker = `
${relayBody.toString()}
parentPort.once('message', (slots) => {
  reactor.register(relayBody({ ...workerData.state, slots }, netvc))
  tell('knows')
})
`
