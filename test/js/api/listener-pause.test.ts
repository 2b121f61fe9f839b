import type { VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { sockets } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld, type World } from '../support/fixture.js'

const many = (world: World, address: string, n: number) =>
  Promise.all(Array.from({ length: n }, () => world.reactor.connect(address)))

/** Every net thread has done what it was asked before. */
const settled = (world: World) => void world.reactor.connections()

describe('Listener.pause and resume', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(sockets))(
      '%s: who comes waits in the kernel’s queue',
      async (_, address) => {
        const { world } = box
        const accepted: VConnection[] = []
        const listener = await world.reactor.listen(address(), (vc) => void accepted.push(vc))
        expect(listener.paused).toBe(false)
        listener.pause()
        expect(listener.paused).toBe(true)
        expect(listener.listening).toBe(true)
        const clients = await many(world, listener.addresses[0], 20)
        settled(world)
        await turn()
        expect(accepted.length).toBe(0)
        expect(world.reactor.stats().accepted).toBeLessThanOrEqual(1) // one may be under way
        listener.resume()
        listener.resume()
        expect(listener.paused).toBe(false)
        expect(accepted.length).toBe(0) // never on the stack of resume()
        await eventually(() => accepted.length === 20, 'all accepted')
        for (const vc of clients) vc.doIoClose()
      },
    )

    test('from pause() on the handler is not called; what was accepted comes first then', async () => {
      const { world } = box
      const order: string[] = []
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => {
        order.push(vc.remoteAddress!)
        listener.pause()
      })
      const clients = await many(world, listener.addresses[0], 40)
      for (let n = 1; n <= 40; n++) {
        await eventually(() => order.length > 0 && listener.paused, 'one more')
        settled(world)
        await turn()
        expect(order.length).toBe(n)
        listener.resume()
      }
      await eventually(() => listener.paused || order.length === 40, 'the last one')
      expect(order.toSorted()).toEqual(clients.map((vc) => vc.localAddress!).toSorted())
    })

    test('inline: at most acceptsPerWakeup are accepted and kept', async () => {
      const { world } = box
      let told = 0
      const options = { acceptsPerWakeup: 4 }
      const listener = await world.reactor.listen(
        'tcp://127.0.0.1:0',
        () => {
          told++
          listener.pause()
        },
        options,
      )
      listener.pause()
      await many(world, listener.addresses[0], 30)
      listener.resume()
      await eventually(() => told === 1, 'the first one')
      settled(world)
      await turn()
      expect(told).toBe(1)
      if (threads === 0) expect(world.reactor.stats().accepted).toBeLessThanOrEqual(4)
    })

    test('a handler that throws for one that was kept does not lose the others', async () => {
      const { world } = box
      let told = 0
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', () => {
        if (++told === 1) listener.pause()
        if (told === 2) throw new Error('thrown by a handler')
      })
      listener.pause()
      await many(world, listener.addresses[0], 3)
      const thrown = new Promise<unknown>((resolve) => {
        const before = process.listeners('uncaughtException')
        process.removeAllListeners('uncaughtException')
        process.once('uncaughtException', (error) => {
          for (const listener of before) process.on('uncaughtException', listener)
          resolve(error)
        })
      })
      listener.resume()
      await eventually(() => told === 1, 'the first one')
      settled(world)
      await turn()
      listener.resume()
      expect(await thrown).toMatchObject({ message: 'thrown by a handler' })
      await eventually(() => told === 3, 'the third one')
    })

    test('close() while paused: those that were kept are closed, the port is free', async () => {
      const { world } = box
      let told = 0
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', () => {
        told++
        listener.pause()
      })
      const clients = await many(world, listener.addresses[0], 10)
      await eventually(() => told === 1, 'the first one')
      settled(world)
      await turn()
      await listener.close()
      listener.resume()
      listener.pause()
      await turn()
      expect(told).toBe(1)
      const recorders = clients.map((vc) => world.check(vc).recorder)
      const ended = () => recorders.filter(({ names }) => names.length > 0).length
      await eventually(() => ended() === 9, 'all but the first are closed')
      await (await world.reactor.listen(listener.addresses[0], () => {})).close()
    })

    test.each([{ acceptOnEveryThread: true }, { acceptThreads: 2 }])('with %o', async (options) => {
      const { world } = box
      let told = 0
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', () => told++, options)
      listener.pause()
      await many(world, listener.addresses[0], 20)
      await turn()
      expect(told).toBe(0)
      listener.resume()
      await eventually(() => told === 20, 'all')
    })
  })
})
