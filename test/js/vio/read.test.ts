import { VCEvent } from 'netvc'
import { describe, expect, test } from 'vitest'
import { transports } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { turn, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

describe('read operation', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(transports))(
      '%s: bytes come as READ_READY, then EOS after the last one (RD-11, RD-15)',
      async (_, address) => {
        const { world } = box
        const [client, server] = await world.pair(address())
        const { stream, recorder } = world.check(server)
        client.write(pattern(100_000))
        client.doIoShutdown('write')
        expect(await recorder.end()).toBe('EOS')
        expect(stream.count).toBe(100_000)
        expect(server.error).toBeUndefined()
        expect(recorder.count(VCEvent.READ_READY)).toBeGreaterThan(0)
      },
    )

    test('READ_COMPLETE comes at exactly nbytes, and the rest stays in the kernel (RD-11, INV-3)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write(pattern(1000))
      const first = world.check(server, 300)
      expect(await first.recorder.end()).toBe('READ_COMPLETE')
      expect(first.stream.count).toBe(300)
      const second = world.check(server, 700, 300)
      expect(await second.recorder.end()).toBe('READ_COMPLETE')
      expect(second.stream.count).toBe(700)
    })

    test('the VIO is the same object for the life of the connection (VIO-6)', async () => {
      const [, server] = await box.world.pair()
      const vio = server.doIoRead(() => {}, 10, box.world.buffer())
      expect(server.doIoRead(null, 0, null)).toBe(vio)
      expect(server.doIoRead(() => {}, 5, box.world.buffer())).toBe(vio)
      expect(vio.vc).toBe(server)
      expect(vio.side).toBe(0)
      expect([vio.nbytes, vio.ndone, vio.ntodo]).toEqual([5, 0, 5])
    })

    test('re-arming inside READ_COMPLETE starts the next operation (SIG-3, VC-4)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const sizes = [1, 10, 100, 1000]
      const seen: number[] = []
      const recorder = new Recorder((event, vio) => {
        if (event !== VCEvent.READ_COMPLETE) return
        seen.push(reader.read().length)
        expect(vio.ndone).toBe(vio.nbytes)
        const next = sizes[seen.length]
        if (next !== undefined) server.doIoRead(recorder.handler, next, buffer)
      })
      server.doIoRead(recorder.handler, sizes[0], buffer)
      client.write(pattern(1111))
      await recorder.when(() => seen.length === sizes.length)
      expect(seen).toEqual(sizes)
    })

    test('nbytes 0 parks the buffer: no event, and no bytes are taken (VC-2)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const parked = new Recorder()
      server.doIoRead(parked.handler, 0, world.buffer())
      client.write(pattern(10))
      const echo = await world.pair()
      echo[0].write(pattern(1))
      await world.check(echo[1], 1).recorder.end()
      expect(parked.names).toEqual([])
      expect(await world.check(server, 10).recorder.end()).toBe('READ_COMPLETE')
    })

    test('without a buffer nothing is read, and the bytes are still there (B-1)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const silent = new Recorder()
      const vio = server.doIoRead(silent.handler, 100, null)
      expect(vio.nbytes).toBe(0)
      client.write(pattern(100))
      vio.reenable()
      await turn()
      expect(await world.check(server, 100).recorder.end()).toBe('READ_COMPLETE')
      expect(silent.names).toEqual([])
    })

    test('doIoRead(null, 0, null) cancels: no event of the operation follows (INV-2)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const cancelled = new Recorder()
      server.doIoRead(cancelled.handler, Infinity, world.buffer())
      server.doIoRead(null, 0, null)
      client.write(pattern(10))
      client.doIoShutdown('write')
      const after = world.check(server, 11)
      expect(await after.recorder.end()).toBe('EOS')
      expect(after.stream.count).toBe(10)
      expect(cancelled.names).toEqual([])
    })

    test('EOS is told again to an operation that is armed after it (RD-16)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.doIoShutdown('write')
      expect(await world.check(server).recorder.end()).toBe('EOS')
      expect(await world.check(server).recorder.end()).toBe('EOS')
    })

    test('EOS waits while the operation is complete (RD-15)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write(pattern(5))
      client.doIoClose()
      const first = world.check(server, 5)
      expect(await first.recorder.end()).toBe('READ_COMPLETE')
      expect(world.check(server).recorder.names).toEqual([])
      expect(await world.check(server).recorder.end()).toBe('EOS')
      expect(first.recorder.names.at(-1)).toBe('READ_COMPLETE')
    })

    test('a handler may be an object with handleEvent, called as its method', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer] = world.pipe()
      const told = new Promise<unknown[]>((resolve) => {
        const target = {
          handleEvent(this: unknown, event: VCEvent) {
            resolve([this === target, VCEvent[event]])
          },
        }
        server.doIoRead(target, 3, buffer)
      })
      client.write('abc')
      expect(await told).toEqual([true, 'READ_COMPLETE'])
    })

    test('arming from a timer is enough for bytes that are there already (RE-7)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const first = world.check(server, 1)
      client.write(pattern(10))
      await first.recorder.end()
      await new Promise((resolve) => setTimeout(resolve, 5))
      const second = world.check(server, 9, 1)
      expect(await second.recorder.end()).toBe('READ_COMPLETE')
    })

    test('an operation that replaces another hears of bytes that one has read and not told (AD-1)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const arm = () =>
        new Promise<string>((resolve) => {
          const told = (event: VCEvent) => resolve(VCEvent[event])
          server.doIoRead(told, Infinity, buffer)
        })
      void arm()
      expect(reader.readAvail).toBe(0)
      client.write('x')
      // This thread hears nothing meanwhile. The inline engine does not read either.
      while (threads > 0 && reader.readAvail === 0 && client.writableLength >= 0) server.inspect()
      expect(await arm()).toBe('READ_READY')
      expect(reader.read().length).toBe(1)
    })
  })
})
