import { MIOBuffer, VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { turn, useWorld } from '../support/fixture.js'
import { integerBelow, logarithmic, pattern, pick, random, seeds } from '../support/pattern.js'

const connections = 10_000
const wave = 100

/** When a connection is closed, apart from the end of its peer. */
const moments = [
  'first event',
  'later event',
  'now',
  'microtask',
  'next turn',
  'timer',
  'end',
] as const

describe('no handler runs after doIoClose', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(seeds(1))(
      '10000 connections, closed inside handlers and outside; NETVC_SEED=%i (INV-1, INV-12, INV-13)',
      async (seed) => {
        const { world } = box
        const next = random(seed)
        let late = 0
        let calls = 0
        let closed = 0

        /** Lets a connection talk until its moment comes; resolves when it is closed. */
        const live = (vc: VConnection): Promise<void> =>
          new Promise((resolve) => {
            const incoming = new MIOBuffer()
            const reader = incoming.allocReader()
            const outgoing = new MIOBuffer()
            const source = outgoing.allocReader()
            const moment = pick(next, moments)
            let left =
              moment === 'first event'
                ? 1
                : moment === 'later event'
                  ? 2 + integerBelow(next, 3)
                  : Infinity
            let over = false
            const close = () => {
              if (over) return
              vc.doIoClose(next() < 0.3 ? 104 : undefined)
              over = true
              closed++
              incoming.free()
              outgoing.free()
              resolve()
            }
            const count = () => {
              calls++
              if (over) late++
              return over
            }
            vc.doIoRead(
              (event) => {
                if (count()) return
                reader.consume(reader.readAvail)
                if (event !== VCEvent.READ_READY || --left <= 0) return close()
                if (moment !== 'end') vc.write(pattern(logarithmic(next, 1, 3000)))
              },
              Infinity,
              incoming,
            )
            const size = logarithmic(next, 1, 50_000)
            outgoing.write(pattern(size))
            vc.doIoWrite(
              (event) => {
                if (count()) return
                if (event === VCEvent.ERROR || event === VCEvent.EOS || --left <= 0) close()
              },
              size,
              source,
            )
            void vc.drained().catch(() => {})
            if (moment === 'now') close()
            else if (moment === 'microtask') queueMicrotask(close)
            else if (moment === 'next turn') setImmediate(close)
            else if (moment === 'timer') setTimeout(close, 1)
            else if (moment === 'end') vc.doIoShutdown('write')
          })

        const lives: Promise<void>[] = []
        let accepted = 0
        const listener = await world.reactor.listen(
          'unix://@netvc-late-' + String(process.pid),
          (vc) => {
            accepted++
            lives.push(live(vc))
          },
        )
        for (let made = 0; made < connections; made += 2 * wave) {
          lives.length = 0
          accepted = 0
          const clients = Array.from({ length: wave }, async () => {
            const vc = await world.reactor.connect(listener.addresses[0])
            lives.push(live(vc))
          })
          await Promise.all(clients)
          while (accepted < wave) await turn()
          await Promise.all(lives)
        }
        // Whatever is still on its way to JavaScript comes before the end of the reactor.
        await world.reactor.close()
        expect(late).toBe(0)
        expect(closed).toBe(connections)
        expect(calls).toBeGreaterThan(connections / 4)
      },
    )
  })
})
