import type { VConnection } from 'netvc'
import { Reactor, VCEvent, type ReactorStats } from 'netvc'
import { describe, expect, test } from 'vitest'
import { abstractAddress } from '../support/addresses.js'
import { endsWell, runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'
import { openDescriptors } from '../support/descriptors.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

describe('Reactor', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('threads says which engine it is', () => {
      expect(box.world.reactor.threads).toBe(threads)
      expect(box.world.another(0).threads).toBe(0)
      expect(box.world.reactor.stats().threads).toBe(threads)
    })

    test('stats(): counters of this reactor', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write(pattern(1000))
      expect(await world.check(server, 1000).recorder.end()).toBe('READ_COMPLETE')
      await eventually(() => world.reactor.stats().bytesWritten > 0, 'the writer has counted')
      const stats = world.reactor.stats()
      expect(stats).toMatchObject({
        accepted: 1,
        connected: 1,
        connectFailures: 0,
        open: 2,
        bytesRead: 1000,
        bytesWritten: 1000,
      })
      for (const [name, value] of Object.entries(stats))
        expect(value, name).toBeGreaterThanOrEqual(0)
      await expect(world.reactor.connect('tcp://127.0.0.1:1')).rejects.toThrow()
      expect(world.reactor.stats().connectFailures).toBe(1)
      client.doIoClose()
      server.doIoClose()
      await eventually(() => world.reactor.stats().open === 0, 'closed')
      expect(world.reactor.stats().closed).toBeGreaterThanOrEqual(2)
    })

    test('inspect(): the engine’s state of a connection', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      expect(client.inspect()).toMatchObject({
        id: client.id,
        remoteAddress: client.remoteAddress,
        read: { armed: false, enabled: false, nbytes: 0, ndone: 0 },
        shut: 0,
        errno: 0,
        unsent: 0,
      })
      server.doIoRead(() => {}, 1000, world.buffer())
      client.write(pattern(100))
      await eventually(() => server.inspect()?.read.ndone === 100, 'the bytes')
      expect(server.inspect()).toMatchObject({
        read: { armed: true, nbytes: 1000, buffered: 100 },
        bytesIn: 100,
      })
      expect(client.inspect()).toMatchObject({ bytesOut: 100 })
      server.doIoRead(() => {}, Infinity, world.buffer())
      await eventually(() => server.inspect()?.read.nbytes === Infinity, 'armed anew')
      expect(client.inspect()!.sequence).not.toBe(server.inspect()!.sequence)
    })

    test('many reactors, one after the other and at once (INV-12)', async () => {
      const { world } = box
      const before = openDescriptors().length
      for (let i = 0; i < 20; i++) {
        const reactor = new Reactor({ threads })
        const listener = await reactor.listen(abstractAddress(), (vc) => void vc.write('x'))
        const vc = await reactor.connect(listener.addresses[0])
        const [buffer] = world.pipe()
        await new Promise((resolve) => vc.doIoRead(resolve, 1, buffer))
        await reactor.close()
      }
      await eventually(() => openDescriptors().length <= before, 'descriptors are closed')
      const several = [world.another(), world.another(), world.another()]
      const listeners = await Promise.all(
        several.map((r) => r.listen(abstractAddress(), (vc) => void vc.write('y'))),
      )
      // Every reactor connects to the next one's listener.
      const got = several.map(async (reactor, i) => {
        const vc = await reactor.connect(listeners[(i + 1) % 3].addresses[0])
        const [buffer, reader] = world.pipe()
        return new Promise<string>((resolve) =>
          vc.doIoRead(() => resolve(reader.read().toString()), 1, buffer),
        )
      })
      expect(await Promise.all(got)).toEqual(['y', 'y', 'y'])
    })

    test('two engines side by side', async () => {
      const { world } = box
      const other = world.another(threads === 0 ? 2 : 0)
      const listener = await world.reactor.listen(
        abstractAddress(),
        (vc) => void vc.write(pattern(1000)),
      )
      const vc = await other.connect(listener.addresses[0])
      expect(await world.check(vc, 1000).recorder.end()).toBe('READ_COMPLETE')
    })

    test('close(): listeners, connections and pending promises end; twice is once (INV-27)', async () => {
      const { world } = box
      const reactor = world.another()
      let server: VConnection | undefined
      const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => (server = vc))
      const client = await reactor.connect(listener.addresses[0])
      await eventually(() => server !== undefined, 'accepted')
      expect(reactor.closed).toBe(false)
      const closing = reactor.close()
      expect(reactor.close()).toBe(closing)
      expect([reactor.closed, client.closed, server!.closed]).toEqual([true, true, true])
      await closing
      expect(listener.listening).toBe(false)
      expect(reactor.stats().open).toBe(0)
      await listener.close()
      reactor.ref().unref()
      await reactor[Symbol.asyncDispose]()
    })

    test('close() waits until written messages have left', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const elsewhere = world.another()
      let received = 0
      const listener = await elsewhere.listen('tcp://127.0.0.1:0', (vc) => {
        const [buffer, reader] = world.pipe()
        vc.doIoRead(
          () => {
            received += reader.read().length
          },
          Infinity,
          buffer,
        )
      })
      const vc = await world.reactor.connect(listener.addresses[0])
      vc.write(pattern(8_000_000))
      await world.reactor.close()
      await eventually(() => received === 8_000_000, 'all has arrived')
      expect([client.closed, server.closed]).toEqual([true, true])
    })

    test('close() in an accept handler and in a connect continuation', async () => {
      const { world } = box
      const first = world.another()
      let closing: Promise<void> | undefined
      const listener = await first.listen('tcp://127.0.0.1:0', () => {
        closing ??= first.close()
      })
      await world.reactor.connect(listener.addresses[0])
      await eventually(() => closing !== undefined, 'accepted')
      await closing
      const second = world.another()
      const again = await second.listen('tcp://127.0.0.1:0', () => {})
      const vc = await second.connect(again.addresses[0])
      await second.close()
      expect(vc.closed).toBe(true)
    })

    test('Symbol.dispose and Symbol.asyncDispose', async () => {
      const { world } = box
      const reactor = world.another()
      const listener = await reactor.listen('tcp://127.0.0.1:0', () => {})
      const vc = await reactor.connect(listener.addresses[0])
      vc[Symbol.dispose]()
      expect(vc.closed).toBe(true)
      await listener[Symbol.asyncDispose]()
      expect(listener.listening).toBe(false)
      await reactor[Symbol.asyncDispose]()
      expect(reactor.closed).toBe(true)
    })

    test('ref and unref: an idle or unref’d reactor does not keep the process (AD-7)', async () => {
      const idle = `new Reactor({ threads }); console.log('end')`
      const unref = `const r = new Reactor({ threads }).unref(); await r.listen('tcp://127.0.0.1:0', () => {}); console.log('end')`
      const closed = `
        const r = new Reactor({ threads })
        const l = await r.listen('tcp://127.0.0.1:0', (vc) => sink(vc, (event) => event === VCEvent.EOS && vc.doIoClose()))
        const vc = await r.connect(l.addresses[0])
        sink(vc); vc.doIoClose(); await l.close(); console.log('end')`
      const kept = `
        const r = new Reactor({ threads })
        const l = await r.listen('tcp://127.0.0.1:0', () => {})
        process.on('exit', () => console.log('end'))
        setTimeout(() => l.close(), 20).unref()`
      const another = `
        const a = new Reactor({ threads }), b = new Reactor({ threads })
        const l = await a.listen('tcp://127.0.0.1:0', (vc) => { console.log('end'); vc.doIoClose(); l.close() })
        const m = await b.listen('tcp://127.0.0.1:0', () => {})
        await m.close()
        setTimeout(() => a.connect(l.addresses[0]).then((vc) => vc.doIoClose()), 20).unref()`
      const failed = `
        const r = new Reactor({ threads })
        const l = await r.listen('tcp://127.0.0.1:0', () => {})
        await r.listen(['tcp://127.0.0.1:0', l.addresses[0]], () => {}).catch((e) => console.log(e.code === 'EADDRINUSE' ? 'end' : e))
        await l.close()`
      const results = await Promise.all(
        [idle, unref, closed, kept, another, failed].map((script) => runChild(script, { threads })),
      )
      for (const result of results) expect(result).toEqual({ ...endsWell, stdout: 'end\n' })
    })
  })

  test('VCEvent names events both ways', () => {
    expect(VCEvent[VCEvent.READ_READY]).toBe('READ_READY')
    expect(Object.keys(VCEvent).filter((key) => Number.isNaN(Number(key))).length).toBe(9)
  })

  test('the type of stats is exported', async () => {
    await turn()
    const stats: ReactorStats = new Reactor().stats()
    expect(stats.turns).toBeGreaterThanOrEqual(0)
  })
})
