import { VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { abstractAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { join, type Joined } from './join.js'

/** The kernel of a peer, or its pair, has taken everything that was written. */
const arrived = (vc: VConnection) =>
  eventually(() => {
    const info = vc.tcpInfo()
    return vc.writableLength === 0 && (info?.notSentBytes ?? 0) === 0 && (info?.unacked ?? 0) === 0
  }, 'it has arrived')

/** Reads to the end: how much came, and how the stream ended. */
async function rest(world: { check: (vc: VConnection) => Checked }, vc: VConnection) {
  const { stream, recorder } = world.check(vc)
  const end = await recorder.end()
  return { count: stream.count, end, code: vc.error?.code }
}
type Checked = ReturnType<ReturnType<typeof useWorld>['world']['check']>

const legs = {
  tcp: { address: () => 'tcp://127.0.0.1:0', bytes: 90_000 },
  pair: { address: () => 'pair:', bytes: 20_000 },
}

describe.each(Object.entries(legs))(
  'a cut stream does not look whole: %s',
  (name, { address, bytes }) => {
    onBothEngines((threads) => {
      const box = useWorld(threads)

      for (const [source, to] of [
        ['client', 'server'],
        ['server', 'client'],
      ] as const) {
        test(`${source} resets after ${String(bytes)} bytes that ${to} has not read: bytes, then the reset (RD-17)`, async () => {
          const { world } = box
          const joined = await join(world, { address })
          joined[source].write(pattern(bytes))
          await arrived(joined[source])
          joined[source].closeWithReset()
          const all = await rest(world, joined[to])
          expect(all).toEqual({ count: bytes, end: 'EOS', code: 'ECONNRESET' })
          const { reason, error } = await joined.tunnel.closed
          expect([reason, error?.code]).toEqual(['error', 'ECONNRESET'])
        })

        test(`${source} resets, half-closed by ${to}`, async () => {
          const { world } = box
          const joined = await join(world, { address })
          joined[to].write(pattern(10))
          joined[to].doIoShutdown('write')
          const question = world.check(joined[source])
          expect(await question.recorder.end()).toBe('EOS')
          joined[source].write(pattern(1000))
          await arrived(joined[source])
          joined[source].closeWithReset()
          const all = await rest(world, joined[to])
          expect(all).toEqual({ count: 1000, end: 'EOS', code: 'ECONNRESET' })
        })

        test(`setFailed on the leg of ${source}: both peers are reset`, async () => {
          const { world } = box
          const joined = await join(world, { address })
          joined[source].write(pattern(1000))
          const incoming = world.check(joined[to])
          await incoming.recorder.when(() => incoming.stream.count === 1000)
          const leg = source === 'client' ? joined.front : joined.back
          const own = rest(world, joined[source])
          leg.setFailed()
          expect(await incoming.recorder.end()).toBe('EOS')
          expect(joined[to].error?.code).toBe('ECONNRESET')
          expect((await own).code).toBe('ECONNRESET')
          expect((await joined.tunnel.closed).error?.code).toBe('EFAILEDSOCKET')
        })

        const closers: Record<string, (j: Joined) => void> = {
          'tunnel.close()': (j) => j.tunnel.close(),
          'doIoClose of a': (j) => j.front.doIoClose(),
          'doIoClose of b': (j) => j.back.doIoClose(),
        }
        for (const [how, close] of Object.entries(closers)) {
          test(`${how} while bytes from ${source} are held: a reset; with nothing held: an end`, async () => {
            const { world } = box
            for (const held of [true, false]) {
              const joined = await join(world, { address })
              if (held) {
                // Until nothing moves any more, since nobody reads.
                joined[source].maxUnwritten = 64 << 20
                joined[source].write(pattern(16 << 20))
                let last = -1
                await eventually(() => {
                  const now = joined.tunnel.aToB + joined.tunnel.bToA
                  const same = now === last && now > 0
                  last = now
                  return same && joined[source].inspect()?.write.triggered === false
                }, 'held back')
              }
              close(joined)
              expect((await joined.tunnel.closed).reason).toBe('closed')
              const { code } = await rest(world, joined[to])
              expect(code).toBe(held ? 'ECONNRESET' : undefined)
              joined[source].closeWithReset()
            }
          })
        }
      }
    })
  },
)

describe('a unix leg knows no reset', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('its peer gets every byte of a source that was reset, then an end', async () => {
      const { world } = box
      const [client, front] = await world.pair('tcp://127.0.0.1:0')
      const [server, back] = await world.pair(abstractAddress())
      const { tunnel } = await import('netvc')
      const t = tunnel(front, back)
      client.write(pattern(50_000))
      await arrived(client)
      client.closeWithReset()
      const incoming = world.check(server)
      expect(await incoming.recorder.end()).toBe('EOS')
      expect(incoming.stream.count).toBe(50_000)
      expect((await t.closed).error?.code).toBe('ECONNRESET')
      expect(VCEvent.EOS).toBeDefined()
    })
  })
})
