import { tunnel } from 'netvc'
import { describe, expect, test } from 'vitest'
import { unixAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { code } from '../write/told.js'
import { join, received } from './join.js'

const short = 100

describe('timeouts of a tunnel', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('inactivity: no byte in either direction', async () => {
      const joined = await join(box.world, { tunnel: { inactivityTimeout: short } })
      const server = box.world.check(joined.server)
      const start = performance.now()
      joined.client.write(pattern(100))
      await received(server, 100)
      const result = await joined.tunnel.closed
      expect(result).toEqual({ reason: 'inactivity', error: undefined, aToB: 100, bToA: 0 })
      expect(performance.now() - start).toBeGreaterThanOrEqual(short)
      expect([joined.front.closed, joined.back.closed]).toEqual([true, true])
      expect(await server.recorder.end()).toBe('EOS')
    })

    test('active: both sides go on sending (B-76)', async () => {
      const {
        client,
        server,
        tunnel: t,
      } = await join(box.world, {
        tunnel: { inactivityTimeout: 100 * short, activeTimeout: 3 * short },
      })
      box.world.check(server)
      let sent = 0
      const timer = setInterval(() => {
        client.write(pattern(10, sent))
        sent += 10
      }, 2)
      const { reason, aToB } = await t.closed
      clearInterval(timer)
      expect(reason).toBe('active')
      expect(aToB).toBeGreaterThan(0)
    })

    test('half-close: a peer that never closes its side', async () => {
      const joined = await join(box.world, { tunnel: { halfCloseTimeout: short } })
      const server = box.world.check(joined.server)
      joined.client.write(pattern(5))
      joined.client.doIoShutdown('write')
      expect(await server.recorder.end()).toBe('EOS')
      expect(server.stream.count).toBe(5)
      expect((await joined.tunnel.closed).reason).toBe('half-close')
    })

    test('stall: a peer that sends and never reads', async () => {
      const {
        client,
        server,
        tunnel: t,
      } = await join(box.world, {
        address: unixAddress,
        tunnel: { inactivityTimeout: 1000 * short, stallTimeout: 3 * short },
      })
      for (let i = 0; i < 50; i++) client.write(pattern(100_000))
      box.world.check(client)
      let sent = 0
      const timer = setInterval(() => {
        server.write(pattern(1, sent++))
      }, 2)
      expect((await t.closed).reason).toBe('stall')
      clearInterval(timer)
    })

    test('timeouts of the connections end with the tunnel, wrong ones are refused', async () => {
      const { front, back } = await join(box.world)
      expect(code(() => front.setInactivityTimeout(1))).toBe('ERR_VC_TUNNELED')
      expect([front.inactivityTimeout, back.activeTimeout]).toEqual([0, 0])
      const [a, b] = await box.world.pair()
      for (const name of ['inactivity', 'active', 'halfClose', 'stall']) {
        expect(code(() => tunnel(a, b, { [`${name}Timeout`]: -1 }))).toBe('ERR_OUT_OF_RANGE')
      }
    })
  })
})
