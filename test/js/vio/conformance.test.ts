import { MIOBuffer, VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { transports } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { useWorld, type World } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

/** One side of a scenario of Apache Traffic Server's NetVCTest; see PV-31. */
interface Side {
  send: number
  nbytesWrite: number
  read: number
  nbytesRead: number
  chunk: number
  readEnd: RegExp
  writeEnd: RegExp
}

const never = /^(WRITE_READY|nothing)$/
const complete = { readEnd: /^READ_COMPLETE$/, writeEnd: /^WRITE_COMPLETE$/ }
const side = (
  [send, nbytesWrite, read, nbytesRead, chunk]: [number, number, number, number, number],
  ends: { readEnd?: RegExp; writeEnd?: RegExp } = {},
): Side => ({ send, nbytesWrite, read, nbytesRead, chunk, ...complete, ...ends })

const scenarios: Record<string, [active: Side, passive: Side]> = {
  basic: [side([2000, 2000, 2000, 2000, 50]), side([2000, 2000, 2000, 2000, 50])],
  basic2: [side([10001, 10001, 5001, 5001, 1024]), side([5001, 5001, 10001, 10001, 1024])],
  large: [side([1e6, 1e6, 5e5, 5e5, 8192]), side([5e5, 5e5, 1e6, 1e6, 8192])],
  larget: [side([1e6, 1e6, 5e5, 5e5, 40000]), side([5e5, 5e5, 1e6, 1e6, 40000])],
  eos: [side([4000, 4000, 10, 10, 8192]), side([10, 10, 6000, 6000, 8192], { readEnd: /^EOS$/ })],
  // More than two kernels take before the peer is known to be gone; a socket may have the reset as
  // the first thing seen, which the write operation tells as EOS (4.6, decision 1).
  werr: [
    side([1e8, 1e8, 10, 10, 65536], { writeEnd: /^(ERROR|EOS)$/ }),
    side([10, 10, 10, 10, 129]),
  ],
  smallt: [side([400, 400, 500, 500, 1]), side([500, 500, 400, 400, 1])],
  // The passive side consumes nothing, so that the other's writing never ends: the active one has
  // its 50 bytes, and then closes.
  overflow: [
    side([1e6, 1e6, 50, 50, 1], { writeEnd: never }),
    side([50, 50, 0, 35000, 1024], { readEnd: /^(EOS|ERROR)$/ }),
  ],
}

interface Outcome {
  /** How the operations have ended: by their last events. */
  ends: [read: string, write: string]
  /** What was told besides READY, as a multiset (INV-21). */
  told: string[]
  consumed: number
  filled: number
  /** Of the write operation. */
  written: number
}

/** Plays one side to the end of both its operations. */
async function play(world: World, vc: VConnection, s: Side): Promise<Outcome> {
  const readBuffer = new MIOBuffer({ blockSize: 32768 })
  const writeBuffer = new MIOBuffer({ blockSize: 32768 })
  world.buffers.push(readBuffer, writeBuffer)
  const incoming = readBuffer.allocReader()
  const outgoing = writeBuffer.allocReader()
  const stream = new PatternChecker()
  let filled = 0
  let open = 2
  const finished = (how: 'read' | 'write') => {
    if (vc.closed) return
    if (--open === 0) vc.doIoClose()
    else vc.doIoShutdown(how)
  }
  const reading = new Recorder((event, vio) => {
    const n = Math.min(incoming.readAvail, Math.max(0, s.read - stream.count))
    if (n > 0) stream.take(incoming.read(n))
    if (event === VCEvent.READ_READY) vio.reenable()
    else finished('read')
  })
  const writing = new Recorder((event, vio) => {
    if (event !== VCEvent.WRITE_READY) return finished('write')
    const n = Math.min(s.chunk, s.send - filled)
    if (n > 0) writeBuffer.write(pattern(n, filled))
    filled += n
    vio.reenable()
  })
  vc.doIoRead(reading.handler, s.nbytesRead, readBuffer)
  vc.doIoWrite(writing.handler, s.nbytesWrite, outgoing)
  const outcome = (read: string, write: string): Outcome => ({
    ends: [read, write],
    told: [...reading.names, ...writing.names].filter((name) => !name.endsWith('_READY')).sort(),
    consumed: stream.count,
    filled,
    written: writing.events.at(-1)?.ndone ?? 0,
  })
  // A side whose writing can never end closes when its reading has ended.
  const end = await reading.end()
  if (s.writeEnd !== never) return outcome(end, await writing.end())
  vc.doIoClose()
  return outcome(end, writing.names.at(-1) ?? 'nothing')
}

describe('PV-31 conformance table (INV-21)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)
    for (const [transport, address] of Object.entries(transports)) {
      test.each(Object.keys(scenarios))(`${transport}: %s`, async (name) => {
        const { world } = box
        const [a, p] = scenarios[name]
        const [client, server] = await world.pair(address())
        const [active, passive] = await Promise.all([
          play(world, client, a),
          play(world, server, p),
        ])
        for (const [side, { ends, told, consumed, filled }] of [
          [a, active],
          [p, passive],
        ] as const) {
          expect(ends[0]).toMatch(side.readEnd)
          expect(ends[1]).toMatch(side.writeEnd)
          const terminal = side.writeEnd === never ? ends.slice(0, 1) : [...ends]
          expect(told).toEqual(terminal.sort())
          if (ends[0] === 'READ_COMPLETE') expect(consumed).toBe(side.read)
          if (ends[1] === 'WRITE_COMPLETE') expect(filled).toBe(side.send)
        }
        if (name === 'werr') expect(active.written).toBeLessThan(a.nbytesWrite)
        if (name === 'overflow') expect(passive.consumed).toBe(0)
        if (name === 'eos') expect(passive.consumed).toBe(a.send)
        // A pair has no kernel in between that could tell the reset first.
        if (name === 'werr' && transport === 'pair') expect(active.ends[1]).toBe('ERROR')
      })
    }
  })
})
