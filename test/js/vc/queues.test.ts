import { VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld, type World } from '../support/fixture.js'

/** n accepted connections, each read from; what is told to go is closed, or kept. */
async function members(world: World, n: number, closes = true) {
  const evicted: number[] = []
  const servers: VConnection[] = []
  const accepted: VConnection[] = []
  const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => void accepted.push(vc))
  for (let i = 0; i < n; i++) {
    await world.reactor.connect(listener.addresses[0])
    await eventually(() => accepted.length === i + 1, 'accepted')
    // One net thread, so that one queue has them all.
    const vc = accepted[i]
    await vc.migrate(0)
    const [buffer] = world.pipe()
    vc.doIoRead(
      (event) => {
        if (event !== VCEvent.INACTIVITY_TIMEOUT) return
        evicted.push(i)
        if (closes) vc.doIoClose()
      },
      Infinity,
      buffer,
    )
    servers.push(vc)
  }
  return { evicted, servers }
}

/** For one net thread, whatever their number. */
function limit(world: World, limits: { maxQueued?: number; maxActive?: number }): void {
  const threads = Math.max(1, world.threads)
  world.reactor.setQueueLimits({
    ...(limits.maxQueued !== undefined && { maxQueued: limits.maxQueued * threads }),
    ...(limits.maxActive !== undefined && { maxActive: limits.maxActive * threads }),
  })
}

describe('keep-alive and active queue', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('KQ-2 INV-20: too many wait, and who has waited longest is told to go', async () => {
      const { world } = box
      const { evicted, servers } = await members(world, 5)
      limit(world, { maxQueued: 3 })
      for (const vc of servers) vc.addToKeepAliveQueue()
      await eventually(() => evicted.length === 2, 'two are told')
      expect(evicted).toEqual([0, 1])
      expect(servers.map(({ closed }) => closed)).toEqual([true, true, false, false, false])
      // Its thread closes them a moment after they were told to.
      await eventually(() => world.reactor.stats().keepAlive === 3, 'three are left')
      const stats = world.reactor.stats()
      expect(stats.keepAliveEvicted).toBe(2)
      expect(stats.keepAliveIdleNs).toBeGreaterThan(0)
    })

    test('KQ-4: who has no handler to be told is closed, and knows it', async () => {
      const { world } = box
      const { servers } = await members(world, 2)
      servers[0].doIoRead(null, 0, null)
      limit(world, { maxQueued: 1 })
      for (const vc of servers) vc.addToKeepAliveQueue()
      await eventually(() => servers[0].closed, 'closed')
      expect(servers[1].closed).toBe(false)
    })

    test('KQ-4: who stays is asked again, and nobody else for it', async () => {
      const { world } = box
      const { evicted, servers } = await members(world, 3, false)
      limit(world, { maxQueued: 2 })
      for (const vc of servers) vc.addToKeepAliveQueue()
      await eventually(() => evicted.length >= 2, 'asked twice')
      expect(evicted.slice(0, 2)).toEqual([0, 0])
    })

    test('KQ-3: the active queue says no when it is full, until one is removed', async () => {
      const { world } = box
      const { evicted, servers } = await members(world, 3)
      limit(world, { maxActive: 2 })
      expect(await servers[0].addToActiveQueue()).toBe(true)
      expect(await servers[1].addToActiveQueue()).toBe(true)
      expect(await servers[2].addToActiveQueue()).toBe(false)
      expect(await servers[0].addToActiveQueue()).toBe(true)
      servers[1].removeFromQueues()
      expect(await servers[2].addToActiveQueue()).toBe(true)
      expect(evicted).toEqual([])
      expect(world.reactor.stats().active).toBe(2)
    })

    test('connections() names the queue; recentlyClosed() how it ended', async () => {
      const { world } = box
      const { servers } = await members(world, 3)
      servers[0].addToKeepAliveQueue()
      await servers[1].addToActiveQueue()
      const queueOf = (vc: VConnection) =>
        world.reactor.connections().find(({ id }) => id === vc.id)?.queue
      await eventually(() => queueOf(servers[0]) === 'keep-alive', 'is in it')
      expect([queueOf(servers[1]), queueOf(servers[2])]).toEqual(['active', undefined])
      servers[0].doIoClose()
      servers[1].setFailed(Object.assign(new Error('no'), { code: 'ENETDOWN' }))
      const endOf = (vc: VConnection) =>
        world.reactor.recentlyClosed().find(({ id }) => id === vc.id)
      await eventually(() => !!endOf(servers[0]), 'gone')
      expect(endOf(servers[0])).toMatchObject({ reason: 'closed', direction: 'in', bytesIn: 0 })
      servers[1].doIoClose()
      await eventually(() => endOf(servers[1])?.reason === 'ENETDOWN', 'gone')
      expect(endOf(servers[2])).toBeUndefined()
    })

    test('drain() closes those that wait at once', async () => {
      const { world } = box
      const { servers } = await members(world, 2)
      const ended = world.reactor.connections().length
      expect(ended).toBe(4)
      const served = servers.map((vc) => vc.id)
      servers[0].addToKeepAliveQueue()
      let left: number | undefined
      const drained = world.reactor.drain({
        deadline: 300,
        beforeClose: ({ closed }) => {
          left = closed
          const open = new Set(world.reactor.connections().map(({ id }) => id))
          expect(served.map((id) => open.has(id))).toEqual([false, true])
        },
      })
      // The clients of this reactor, and the one that works.
      expect(await drained).toEqual({ closed: left })
    })

    test('wrong arguments, and a closed connection', async () => {
      const { world } = box
      const wrong = expect.objectContaining({ code: expect.stringMatching(/^ERR_/) as string })
      const set = (limits: unknown) => () => world.reactor.setQueueLimits(limits as never)
      for (const limits of [undefined, 1, { maxQueued: -1 }, { maxActive: '1' }, { other: 1 }])
        expect(set(limits)).toThrow(wrong)
      const [, server] = await world.pair()
      server.doIoClose()
      expect(() => server.addToKeepAliveQueue()).toThrow(wrong)
      await expect(server.addToActiveQueue()).rejects.toMatchObject({ code: 'ERR_VC_CLOSED' })
      server.removeFromQueues()
    })
  })
})
