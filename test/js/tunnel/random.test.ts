import { tunnel } from 'netvc'
import { describe, expect, test } from 'vitest'
import { abstractAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { useWorld } from '../support/fixture.js'
import { integerBelow, logarithmic, pattern, pick, random, seeds } from '../support/pattern.js'
import { ends, join, type Joined } from './join.js'

const closers: ((j: Joined) => void)[] = [
  (j) => j.client.doIoClose(),
  (j) => j.server.doIoClose(),
  (j) => j.front.doIoClose(),
  (j) => j.back.doIoClose(),
  (j) => j.tunnel.close(),
  (j) => j.client.doIoClose(104),
  (j) => {
    j.client.doIoShutdown('write')
    j.server.doIoShutdown('write')
  },
  (j) => {
    j.front.doIoClose()
    j.client.doIoClose()
  },
]

describe('tunnels whose ends close at random', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(seeds(2))(
      'seed %i: each ends once, its bytes are a prefix (INV-31, INV-4)',
      async (seed) => {
        const { world } = box
        const next = random(seed)
        const one = async () => {
          const address = next() < 0.5 ? abstractAddress : () => 'tcp://127.0.0.1:0'
          const resets = next() < 0.2
          const joined = await join(world, {
            address,
            connect: { resetOnClose: resets },
            legs: pick(next, ['apart', 'together']),
          })
          const { client, front, back, server } = joined
          const sent = { client: 0, server: 0 }
          const incoming = [world.check(client), world.check(server)] as const
          const close = pick(next, closers)
          const steps = integerBelow(next, 6)
          const say = (who: 'client' | 'server') => {
            const n = logarithmic(next, 1, 100_000)
            joined[who].write(pattern(n, sent[who]))
            sent[who] += n
          }
          for (let i = 0; i < steps; i++) {
            if (!client.closed) say('client')
            if (!server.closed && next() < 0.5) say('server')
            if (next() < 0.3) await new Promise((resolve) => setImmediate(resolve))
          }
          close(joined)
          // A peer that hears of the end ends too; otherwise its direction would stay open (INV-17).
          void incoming[0].recorder.end().then(() => client.doIoClose())
          void incoming[1].recorder.end().then(() => server.doIoClose())
          const { reason, aToB, bToA } = await joined.tunnel.closed
          expect(['eos', 'error', 'closed']).toContain(reason)
          expect(aToB).toBeLessThanOrEqual(sent.client)
          expect(bToA).toBeLessThanOrEqual(sent.server)
          expect([front.closed, back.closed]).toEqual([true, true])
          expect(incoming[0].stream.count).toBeLessThanOrEqual(sent.server)
          expect(incoming[1].stream.count).toBeLessThanOrEqual(sent.client)
          client.doIoClose()
          server.doIoClose()
        }
        for (let wave = 0; wave < 15; wave++) await Promise.all(Array.from({ length: 10 }, one))
      },
    )

    test('a leg is moved to the thread of the other one, and both are closed there (INV-28, INV-31)', async () => {
      for (const legs of ['apart', 'together', 'apart', 'together'] as const) {
        const { client, front, back, server } = await ends(box.world, { legs })
        const moves = front.inspect()?.thread !== back.inspect()?.thread
        expect(moves).toBe(threads > 0 && legs === 'apart')
        const t = tunnel(front, back)
        const incoming = box.world.check(server)
        client.write(pattern(1000))
        await incoming.recorder.when(() => incoming.stream.count === 1000)
        expect(front.inspect()?.thread).toBe(back.inspect()?.thread)
        t.close()
        expect((await t.closed).reason).toBe('closed')
        client.doIoClose()
        server.doIoClose()
      }
    })
  })
})
