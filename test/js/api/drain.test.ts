import { Reactor, tunnel, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

describe('connections()', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('a row for each open connection, with its numbers', async () => {
      const { world } = box
      expect(world.reactor.connections()).toEqual([])
      const [client, server] = await world.pair()
      const { stream } = world.check(server)
      client.write(pattern(1000))
      await eventually(() => stream.count === 1000, 'all arrives')
      client.doIoShutdown('write')
      const row = (vc: VConnection) => world.reactor.connections().find(({ id }) => id === vc.id)
      await eventually(() => row(client)?.state === 'half-open', 'shut')
      expect(world.reactor.connections().length).toBe(2)
      expect(row(client)).toMatchObject({
        direction: 'out',
        bytesIn: 0,
        bytesOut: 1000,
        unsent: 0,
        remoteAddress: client.remoteAddress,
        localAddress: client.localAddress,
      })
      const of = row(server)!
      expect(of).toMatchObject({ direction: 'in', state: 'open', bytesIn: 1000, bytesOut: 0 })
      expect(of.ageMs).toBeGreaterThanOrEqual(of.idleMs)
      expect([0, 1]).toContain(of.thread)
      server.doIoClose()
      await eventually(() => row(server) === undefined, 'gone')
      expect([of.bytesIn, of.id]).toEqual([1000, server.id]) // a snapshot
    })

    test('tunnels are named, other reactors and closed ones are not there', async () => {
      const { world } = box
      const other = world.another()
      const [[a], [b]] = [await world.pair(), await world.pair()]
      tunnel(a, b)
      const states = () =>
        world.reactor
          .connections()
          .filter(({ state }) => state === 'tunneled')
          .map(({ id }) => id)
      await eventually(() => states().length === 2, 'joined')
      expect(new Set(states())).toEqual(new Set([a.id, b.id]))
      expect(other.connections()).toEqual([])
      await other.close()
      expect(other.connections()).toEqual([])
    })

    test('a thousand rows', async () => {
      const { world } = box
      const accepted: VConnection[] = []
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => accepted.push(vc))
      const clients = []
      for (let i = 0; i < 10; i++) {
        const some = Array.from({ length: 50 }, () => world.reactor.connect(listener.addresses[0]))
        clients.push(...(await Promise.all(some)))
      }
      await eventually(() => accepted.length === 500, 'accepted')
      const ids = new Set(world.reactor.connections().map(({ id }) => id))
      expect(ids).toEqual(new Set([...clients, ...accepted].map(({ id }) => id)))
    })
  })
})

describe('drain()', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('accepts nothing more, lets a tunnel and its messages finish, and closes', async () => {
      const { world } = box
      const served = new Reactor({ threads })
      world.reactors.push(served)
      const servers: VConnection[] = []
      const behind = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => {
        const [buffer, reader] = world.pipe()
        vc.doIoRead(() => reader.consume(reader.readAvail), Infinity, buffer)
        servers.push(vc)
      })
      const front = await served.listen('tcp://127.0.0.1:0', (vc) => {
        void served.connect(behind.addresses[0]).then((to) => tunnel(vc, to))
      })
      const client = await world.reactor.connect(front.addresses[0])
      await eventually(
        () => served.connections().filter(({ state }) => state === 'tunneled').length === 2,
        'joined',
      )
      const { stream, recorder } = world.check(client)
      const drained = served.drain({ deadline: 20_000 })
      await front.close() // the same end
      await expect(world.reactor.connect(front.addresses[0])).rejects.toMatchObject({
        code: 'ECONNREFUSED',
      })
      servers[0].write(pattern(300_000))
      servers[0].doIoShutdown('write')
      client.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(300_000)
      expect(await drained).toEqual({ closed: 0 })
      expect(served.closed).toBe(true)
    })

    test('closes what is idle at once, the rest at the deadline', async () => {
      const { world } = box
      const served = new Reactor({ threads })
      world.reactors.push(served)
      const accepted: VConnection[] = []
      const listener = await served.listen('tcp://127.0.0.1:0', (vc) => void accepted.push(vc))
      const clients = []
      for (let i = 0; i < 4; i++) {
        clients.push(await world.reactor.connect(listener.addresses[0]))
        await eventually(() => accepted.length === i + 1, 'accepted')
      }
      const ends = clients.map((vc) => world.check(vc).recorder.end())
      const order: string[] = []
      void ends[0].then(() => order.push('idle'))
      void ends[1].then(() => order.push('idle'))
      const drained = served.drain({
        deadline: 2000, // far more than what is idle needs
        idle: (vc) => vc === accepted[0] || vc === accepted[1],
      })
      await Promise.all(ends.slice(0, 2))
      for (const vc of clients.slice(0, 2)) vc.doIoClose()
      expect(await drained).toEqual({ closed: 2 })
      expect(await Promise.all(ends)).toEqual(['EOS', 'EOS', 'EOS', 'EOS'])
      expect(order).toEqual(['idle', 'idle'])
    })

    test('with nothing open, twice, and wrong arguments', async () => {
      const { world } = box
      const reactor = world.another()
      for (const wrong of [-1, 1.5, '1', NaN]) {
        await expect(reactor.drain({ deadline: wrong as number })).rejects.toMatchObject({
          code: expect.stringMatching(/^ERR_(OUT|INVALID)/) as string,
        })
      }
      await expect(reactor.drain({ idle: 1 as never })).rejects.toMatchObject({
        code: 'ERR_INVALID_ARG_TYPE',
      })
      expect(await reactor.drain()).toEqual({ closed: 0 })
      await expect(reactor.drain()).rejects.toMatchObject({ code: 'ERR_REACTOR_CLOSED' })
    })
  })
})
