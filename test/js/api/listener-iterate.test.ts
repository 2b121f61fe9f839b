import { once } from 'node:events'
import { createServer } from 'node:net'
import { Worker } from 'node:worker_threads'
import { Reactor, type Listener, type ListenOptions, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { sockets } from '../support/addresses.js'
import { endsWell, startChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld, type World } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

const tcp = 'tcp://127.0.0.1:0'
const many = (world: World, address: string, n: number) =>
  Promise.all(Array.from({ length: n }, () => world.reactor.connect(address)))

/** Every net thread has done what it was asked before, and this one has heard of it. */
async function settled(world: World): Promise<void> {
  for (let i = 0; i < 3; i++) {
    world.reactor.connections()
    await turn()
  }
}

const accepted = (world: World) => world.reactor.stats().accepted

describe('for await over a listener', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(sockets))('%s: every connection, once', async (_, address) => {
      const { world } = box
      const listener = await world.reactor.listen(address())
      const clients = many(world, listener.addresses[0], 50)
      const seen = new Set<bigint>()
      for await (const vc of listener) {
        seen.add(vc.id)
        vc.write(pattern(5))
        if (seen.size === 50) break
      }
      expect(listener.listening).toBe(false)
      const ends = (await clients).map((vc) => world.check(vc, 5).recorder.end())
      for (const end of ends) await end
    })

    test('nobody is accepted before somebody asks, or while nobody does', async () => {
      const { world } = box
      const acceptsPerWakeup = 4
      const listener = await world.reactor.listen(tcp, { acceptsPerWakeup })
      await many(world, listener.addresses[0], 60)
      await settled(world)
      expect(accepted(world)).toBe(0)
      const loop = listener[Symbol.asyncIterator]()
      for (let n = 1; n <= 60; n++) {
        const { value } = await loop.next()
        expect(value?.remoteAddress).toBeDefined()
        await settled(world)
        expect(accepted(world)).toBeGreaterThanOrEqual(n)
        expect(accepted(world)).toBeLessThanOrEqual(n + acceptsPerWakeup - 1)
      }
    })

    test('the bound holds although this thread does not look', async () => {
      const { world } = box
      const listener = await world.reactor.listen(tcp, { acceptsPerWakeup: 4 })
      await many(world, listener.addresses[0], 60)
      const loop = listener[Symbol.asyncIterator]()
      void loop.next()
      // Net threads go on while this one waits for them, again and again, and hears of nothing.
      for (let i = 0; i < 200; i++) world.reactor.connections()
      expect(accepted(world)).toBeLessThanOrEqual(4)
    })

    test('somebody who came at one address is enough: the others do not go on', async () => {
      const { world } = box
      const listener = await world.reactor.listen([tcp, tcp])
      const loop = listener[Symbol.asyncIterator]()
      const next = loop.next()
      await world.reactor.connect(listener.addresses[0])
      expect((await next).done).toBe(false)
      await world.reactor.connect(listener.addresses[1])
      await settled(world)
      expect(accepted(world)).toBe(1)
    })

    test('several addresses and loops: each connection goes to one of them', async () => {
      const { world } = box
      const listener = await world.reactor.listen([tcp, tcp, tcp], { acceptsPerWakeup: 2 })
      const seen: VConnection[] = []
      const loops = Array.from({ length: 3 }, async () => {
        for await (const vc of listener) {
          seen.push(vc)
          await turn()
        }
      })
      await Promise.all(listener.addresses.map((address) => many(world, address, 20)))
      await eventually(() => seen.length === 60, 'all')
      await listener.close()
      await Promise.all(loops)
      expect(new Set(seen.map((vc) => vc.id)).size).toBe(60)
      expect(seen.every((vc) => !vc.closed)).toBe(true) // what was handed out lives on
    })

    test.each<ListenOptions>([{ acceptOnEveryThread: true }, { acceptThreads: 2 }])(
      'with %o every connection comes',
      async (options) => {
        const { world } = box
        const listener = await world.reactor.listen(tcp, options)
        const clients = many(world, listener.addresses[0], 50)
        let n = 0
        for await (const vc of listener) {
          vc.doIoClose()
          if (++n === 50) break
        }
        await clients
      },
    )

    test('break closes the listener, and what was accepted and not handed out', async () => {
      const { world } = box
      const listener = await world.reactor.listen(tcp)
      const address = listener.addresses[0]
      const clients = await many(world, address, 12)
      let kept: VConnection | undefined
      for await (const vc of listener) {
        kept = vc
        break
      }
      const recorders = clients.map((vc) => world.check(vc).recorder)
      const ended = () => recorders.filter(({ names }) => names.length > 0).length
      await eventually(() => ended() === 11, 'all but one are closed')
      expect(kept!.closed).toBe(false)
      await (await world.reactor.listen(address, () => {})).close()
    })

    test('an error thrown in the loop comes out, and closes the listener', async () => {
      const { world } = box
      const listener = await world.reactor.listen(tcp)
      await world.reactor.connect(listener.addresses[0])
      const loop = async () => {
        for await (const vc of listener) throw new Error(`thrown for ${String(vc.remoteAddress)}`)
      }
      await expect(loop()).rejects.toThrow('thrown for tcp://')
      expect(listener.listening).toBe(false)
    })

    test('close() inside and outside ends the loop, and it stays ended', async () => {
      const { world } = box
      for (const inside of [true, false]) {
        const listener = await world.reactor.listen(tcp)
        await world.reactor.connect(listener.addresses[0])
        let n = 0
        let closing: Promise<void> | undefined
        if (!inside) setImmediate(() => void (closing = listener.close()))
        for await (const vc of listener) {
          void vc
          n++
          if (inside) closing = listener.close()
        }
        await closing
        expect(n).toBeLessThanOrEqual(1)
        const again = listener[Symbol.asyncIterator]()
        expect(await again.next()).toEqual({ value: undefined, done: true })
        expect(await again.return?.()).toEqual({ value: undefined, done: true })
      }
    })

    test('reactor.close() ends it, also when many wait for their turn', async () => {
      const { world } = box
      const listener = await world.reactor.listen(tcp)
      const loop = listener[Symbol.asyncIterator]()
      await many(world, listener.addresses[0], 10)
      await loop.next()
      const waiting = Array.from({ length: 30 }, () => loop.next())
      await world.reactor.close()
      const results = await Promise.all(waiting)
      expect(results.at(-1)).toEqual({ value: undefined, done: true })
    })

    test('pause() holds the loop up, resume() lets it go on', async () => {
      const { world } = box
      const listener = await world.reactor.listen(tcp)
      const loop = listener[Symbol.asyncIterator]()
      let told = 0
      listener.pause()
      const next = [loop.next(), loop.next()].map((one) => one.then(() => told++))
      await many(world, listener.addresses[0], 2)
      await settled(world)
      expect([told, accepted(world)]).toEqual([0, 0])
      listener.resume()
      await Promise.all(next)
      expect(told).toBe(2)
    })

    test('those that closed while they were kept are not handed out', async () => {
      const { world } = box
      const listener = await world.reactor.listen(tcp)
      const loop = listener[Symbol.asyncIterator]()
      await many(world, listener.addresses[0], 3)
      const { value: first } = await loop.next()
      await settled(world)
      const kept = world.reactor
        .connections()
        .filter(({ direction, id }) => direction === 'in' && id !== first!.id)
      if (threads === 0) expect(kept.length).toBe(2)
      for (const { id } of kept) Reactor.address(id)?.setFailed()
      await settled(world)
      await world.reactor.connect(listener.addresses[0])
      for (let left = 3 - kept.length; left > 0; left--) {
        const { value } = await loop.next()
        expect(value!.closed).toBe(false)
      }
    })

    test('a listener with a handler cannot be iterated', async () => {
      const listener: Listener = await box.world.reactor.listen(tcp, () => {})
      expect(() => listener[Symbol.asyncIterator]()).toThrow(
        expect.objectContaining({ code: 'ERR_LISTENER_HANDLER' }),
      )
      expect(listener.listening).toBe(true)
    })

    test('a listener that fails throws in the loop, and is closed', async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { fd } = (server as unknown as { _handle: { fd: number } })._handle
      // Its socket becomes a file, from which nobody can be accepted.
      const script = `
        import { closeSync, openSync } from 'node:fs'
        const reactor = new Reactor({ threads })
        const listener = await reactor.listen('tcp://127.0.0.1:0', { fd: 3 })
        const loop = listener[Symbol.asyncIterator]()
        reactor.connections() // waits for the net threads, which have started to listen then
        closeSync(3)
        console.log(openSync('/dev/null'))
        console.log(await loop.next().catch((e) => [e.code, e.syscall, e === listener.error].join()))
        console.log(listener.listening, (await loop.next()).done)
        await reactor.close()`
      const { result } = startChild(script, { threads, descriptors: [fd] })
      server.close()
      // Whether it is polled or accepted from first is a race.
      const stdout: unknown = expect.stringMatching(
        /^3\n(ENOTSOCK|EPERM),accept,true\nfalse true\n$/,
      )
      expect(await result).toMatchObject({ ...endsWell, stdout })
    })

    test('timeouts of the listener count from the handing out', async () => {
      const { world } = box
      const listener = await world.reactor.listen(tcp, { inactivityTimeout: 60_000 })
      await world.reactor.connect(listener.addresses[0])
      const { value } = await listener[Symbol.asyncIterator]().next()
      expect(value!.inactivityTimeout).toBe(60_000)
    })

    test('a loop in a worker; the process ends when it has', async () => {
      const script = `
        const { parentPort } = require('node:worker_threads')
        import(${JSON.stringify(new URL('../../../dist/index.js', import.meta.url).href)}).then(
          async ({ Reactor }) => {
            const reactor = new Reactor({ threads: ${String(threads)} })
            const listener = await reactor.listen('${tcp}')
            parentPort.postMessage(listener.addresses[0])
            let n = 0
            for await (const vc of listener) {
              vc.doIoClose()
              if (++n === 20) break
            }
            await reactor.close()
            parentPort.postMessage(n)
          })`
      const worker = new Worker(script, { eval: true })
      const exit = once(worker, 'exit')
      const [address] = (await once(worker, 'message')) as [string]
      const done = once(worker, 'message')
      await many(box.world, address, 20)
      expect(await done).toEqual([20])
      expect(await exit).toEqual([0])
    })
  })
})
