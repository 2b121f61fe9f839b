import { VCEvent, type VConnection, type VIO } from 'netvc'
import { describe, expect, test } from 'vitest'
import { transports } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { turn, useWorld, type World } from '../support/fixture.js'
import {
  integerBelow,
  logarithmic,
  pattern,
  PatternChecker,
  pick,
  random,
  seeds,
} from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

type Next = () => number

/** Sends n bytes of the pattern by write(), in pieces of any size, minding drained(). */
async function sendMessages(vc: VConnection, n: number, next: Next): Promise<void> {
  for (let at = 0; at < n;) {
    const size = Math.min(n - at, logarithmic(next, 1, Math.max(2, n / 8)))
    const more = vc.write(pattern(size, at))
    at += size
    if (!more) await vc.drained()
    else if (integerBelow(next, 10) === 0) await turn()
  }
}

/** Sends n bytes by a write operation, in arms of any size, filled in its handler or before. */
function sendByOperation(world: World, vc: VConnection, n: number, next: Next): Promise<void> {
  return new Promise((resolve) => {
    let at = 0
    let armed = 0
    const arm = () => {
      const size = Math.min(n - armed, logarithmic(next, 1, n))
      const [buffer, reader] = world.pipe({ blockSize: logarithmic(next, 128, 262144) })
      const end = armed + size
      const fill = () => {
        const some = Math.min(end - at, logarithmic(next, 1, 300_000))
        if (some > 0) buffer.write(pattern(some, at))
        at += Math.max(0, some)
      }
      if (integerBelow(next, 2)) fill()
      const recorder = new Recorder((event, vio) => {
        if (event === VCEvent.WRITE_READY) {
          fill()
          vio.reenable()
          return
        }
        armed = end
        buffer.free()
        if (armed < n) arm()
        else resolve()
      })
      vc.doIoWrite(recorder.handler, size, reader)
    }
    arm()
  })
}

/** Reads n bytes in arms of any size, with any buffer, consumed at once or in parts. */
function receive(world: World, vc: VConnection, n: number, next: Next): Promise<PatternChecker> {
  return new Promise((resolve, reject) => {
    const stream = new PatternChecker()
    const arm = () => {
      const size = Math.min(n - stream.count, logarithmic(next, Math.max(1, n / 50), n))
      const end = stream.count + size
      const [buffer, reader] = world.pipe({
        blockSize: logarithmic(next, 128, 262144),
        waterMark: pick(next, [0, 100, 65536, 1 << 20]),
      })
      const lazy = integerBelow(next, 3) === 0
      const take = () => {
        const some = lazy ? Math.ceil(reader.readAvail / 2) : reader.readAvail
        if (integerBelow(next, 2)) {
          stream.take(reader.read(some))
          return
        }
        const view = reader.borrow()
        stream.take(view)
        reader.consume(view.length)
      }
      // What was left in the buffer may be all that it holds: then no event follows (RD-14).
      let planned: NodeJS.Immediate | undefined
      const later = (vio: VIO) => {
        planned = undefined
        if (buffer.isFreed) return
        if (reader.readAvail > 0) take()
        vio.reenable()
        if (reader.readAvail > 0) planned = setImmediate(later, vio)
      }
      const recorder = new Recorder((event, vio) => {
        if (event !== VCEvent.READ_READY && event !== VCEvent.READ_COMPLETE) {
          reject(new Error(`${VCEvent[event]} after ${String(stream.count)} bytes`))
          return
        }
        if (reader.readAvail > 0) take()
        if (event === VCEvent.READ_READY) {
          vio.reenable()
          if (reader.readAvail > 0 && !planned) planned = setImmediate(later, vio)
          return
        }
        clearImmediate(planned)
        while (reader.readAvail > 0) take()
        if (stream.count !== end) reject(new Error('COMPLETE at another number of bytes'))
        buffer.free()
        if (stream.count < n) arm()
        else resolve(stream)
      })
      vc.doIoRead(recorder.handler, size, buffer)
    }
    arm()
  })
}

describe('random streams (INV-4)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    async function stream(n: number, address: string, next: Next): Promise<void> {
      const { world } = box
      const options = integerBelow(next, 3) ? {} : { sendBufferSize: 8192, receiveBufferSize: 8192 }
      const [client, server] = await world.pair(address, { listen: options, connect: options })
      const [from, to] = integerBelow(next, 2) ? [client, server] : [server, client]
      const received = receive(world, to, n, next)
      const sent = integerBelow(next, 2)
        ? sendMessages(from, n, next)
        : sendByOperation(world, from, n, next)
      expect((await received).count).toBe(n)
      await sent
      from.doIoClose()
      expect(await world.check(to, Infinity, n).recorder.end()).toBe('EOS')
      to.doIoClose()
    }

    test.each(seeds(6))('sizes of 1 byte to 2 MiB on every transport, seed %i', async (seed) => {
      const next = random(seed)
      for (const address of Object.values(transports)) {
        for (let i = 0; i < 3; i++) await stream(logarithmic(next, 1, 1 << 21), address(), next)
      }
    })

    test.each(seeds(1))('64 MiB, seed %i', async (seed) => {
      const next = random(seed)
      await stream(64 << 20, pick(next, Object.values(transports))(), next)
    })

    test.each(seeds(2))('twelve at once, both ways, seed %i', async (seed) => {
      const next = random(seed)
      const { world } = box
      await Promise.all(
        Array.from({ length: 12 }, async () => {
          const [a, b] = await world.pair(pick(next, Object.values(transports))())
          const n = logarithmic(next, 1000, 1 << 20)
          const m = logarithmic(next, 1000, 1 << 20)
          const [x, y] = await Promise.all([
            receive(world, a, n, next),
            receive(world, b, m, next),
            sendMessages(b, n, next),
            sendByOperation(world, a, m, next),
          ])
          expect([x.count, y.count]).toEqual([n, m])
        }),
      )
    })
  })
})
