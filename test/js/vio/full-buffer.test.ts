import { VCEvent } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, onPairs, useWorld } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

const small = { blockSize: 4096, waterMark: 8192 }

// A pair fills by other rules: PV-16, PV-17.
describe.skipIf(onPairs)('a full buffer', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('is silent and bounded, and reading goes on after consume and reenable (RD-14, BUF-9)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe(small)
      const recorder = new Recorder()
      const vio = server.doIoRead(recorder.handler, Infinity, buffer)
      client.write(pattern(1 << 20))
      await eventually(() => buffer.highWater, 'the buffer is full')
      await eventually(() => server.inspect()?.read.enabled === false, 'reading has stopped')
      const held = reader.readAvail
      expect(held).toBeLessThanOrEqual(small.waterMark + 2 * small.blockSize)
      const told = recorder.events.length
      const stream = new PatternChecker()
      stream.take(reader.read())
      vio.reenable()
      await recorder.when(() => recorder.events.length > told)
      while (stream.count < 1 << 20) {
        stream.take(reader.read())
        vio.reenable()
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(stream.count).toBe(1 << 20)
    })

    test('consuming alone brings reading back (lib/mio-buffer.ts)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe(small)
      const recorder = new Recorder()
      server.doIoRead(recorder.handler, Infinity, buffer)
      client.write(pattern(200_000))
      client.doIoShutdown('write')
      const stream = new PatternChecker()
      while (stream.count < 200_000) {
        await eventually(() => reader.readAvail > 0, 'more bytes')
        stream.take(reader.read())
      }
      expect(await recorder.end()).toBe('EOS')
    })

    test('a water mark of 0 reads one block at a time (BUF-9)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe({ blockSize: 4096, waterMark: 0 })
      const sizes: number[] = []
      const stream = new PatternChecker()
      const recorder = new Recorder((_, vio) => {
        sizes.push(reader.readAvail)
        stream.take(reader.read())
        vio.reenable()
      })
      server.doIoRead(recorder.handler, Infinity, buffer)
      client.write(pattern(100_000))
      client.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(100_000)
      expect(Math.max(...sizes)).toBeLessThanOrEqual(4096)
    })

    test('EOS waits behind it (RD-15)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe({ blockSize: 128, waterMark: 0 })
      const recorder = new Recorder()
      server.doIoRead(recorder.handler, Infinity, buffer)
      client.write(pattern(128))
      client.doIoClose()
      await recorder.until(VCEvent.READ_READY)
      await eventually(() => server.inspect()?.read.enabled === false, 'reading has stopped')
      expect(recorder.names).not.toContain('EOS')
      reader.consume(128)
      expect(await recorder.end()).toBe('EOS')
    })

    test('a second reader that never reads keeps it full', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, fast] = world.pipe(small)
      const slow = buffer.allocReader()
      const recorder = new Recorder(() => fast.consume(fast.readAvail))
      server.doIoRead(recorder.handler, Infinity, buffer)
      client.write(pattern(200_000))
      await eventually(() => server.inspect()?.read.enabled === false, 'reading has stopped')
      expect(slow.readAvail).toBeLessThanOrEqual(small.waterMark + 2 * small.blockSize)
      slow.dealloc()
      recorder.events.length = 0
      server.doIoRead(recorder.handler, Infinity, buffer)
      fast.consume(fast.readAvail) // what came between the two may have filled it again
      await recorder.until(VCEvent.READ_READY)
    })

    test('re-arming with another buffer goes on where the first one stopped', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe(small)
      server.doIoRead(() => {}, Infinity, buffer)
      client.write(pattern(100_000))
      client.doIoShutdown('write')
      await eventually(() => server.inspect()?.read.enabled === false, 'reading has stopped')
      const { stream, recorder } = world.check(server, Infinity, reader.readAvail)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count + reader.readAvail).toBe(100_000)
    })

    test.runIf(threads === 0)(
      'reenableRe reads and calls the handler before it returns (RE-5)',
      async () => {
        const { world } = box
        const [client, server] = await world.pair()
        const [buffer, reader] = world.pipe({ blockSize: 128, waterMark: 0 })
        const seen: number[] = []
        let nested = 0
        const recorder = new Recorder(
          (event, vio) => {
            if (event !== VCEvent.READ_READY) return
            seen.push(reader.readAvail)
            reader.consume(reader.readAvail)
            if (nested >= 10) return
            nested++
            const before = seen.length
            vio.reenableRe()
            expect(seen.length).toBeGreaterThan(before)
          },
          { nested: true },
        )
        server.doIoRead(recorder.handler, Infinity, buffer)
        client.write(pattern(128 * 12))
        await recorder.when(() => seen.length >= 12)
        expect(nested).toBe(10)
      },
    )

    test.runIf(threads === 0)(
      'reenableRe is synchronous at every place of the event ring, also where it wraps (RE-5)',
      async () => {
        const { world } = box
        const [client, server] = await world.pair()
        const { recorder } = world.check(server, 1)
        client.write(pattern(1))
        await recorder.end()
        const [buffer, reader] = world.pipe({ blockSize: 128, waterMark: 0 })
        client.write(pattern(65536))
        await eventually(() => client.writableLength === 0, 'all sent')
        let told = 0
        const vio = server.doIoRead(() => told++, Infinity, buffer)
        await eventually(() => told > 0, 'the first block')
        for (let i = 0; i < 400; i++) {
          const before = told
          reader.consume(reader.readAvail)
          vio.reenableRe()
          expect(told).toBeGreaterThan(before)
        }
      },
    )
  })
})
