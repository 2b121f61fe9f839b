import { VCEvent } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

describe('nbytes', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('raised after READ_COMPLETE and reenabled: the operation goes on (VIO-1)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const stream = new PatternChecker()
      const recorder = new Recorder((event, vio) => {
        stream.take(reader.read())
        if (event !== VCEvent.READ_COMPLETE || vio.nbytes >= 300) return
        vio.nbytes += 100
        vio.reenable()
      })
      server.doIoRead(recorder.handler, 100, buffer)
      client.write(pattern(1000))
      await recorder.when((r) => r.event === VCEvent.READ_COMPLETE && r.ndone === 300)
      expect(recorder.count(VCEvent.READ_COMPLETE)).toBe(3)
      expect(stream.count).toBe(300)
    })

    test('lowered to what is done: the operation ends in silence (VIO-1, AD-13)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const recorder = new Recorder((_, vio) => {
        reader.consume(reader.readAvail)
        vio.nbytes = vio.ndone
      })
      server.doIoRead(recorder.handler, Infinity, buffer)
      client.write(pattern(10))
      const { ndone } = await recorder.until(VCEvent.READ_READY)
      client.write(pattern(90, 10))
      client.doIoShutdown('write')
      expect(ndone).toBe(10)
      // The rest is still there for the next operation, as far as net threads were not ahead.
      const { recorder: rest } = world.check(server, Infinity, 10)
      expect(await rest.end()).toBe('EOS')
      expect(recorder.names).not.toContain('READ_COMPLETE')
      expect(recorder.names).not.toContain('EOS')
    })

    test('raised inside READ_READY: COMPLETE comes at the new number', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe({ blockSize: 128, waterMark: 0 })
      const recorder = new Recorder((event, vio) => {
        reader.consume(reader.readAvail)
        if (event === VCEvent.READ_READY) vio.nbytes = 200_000
      })
      server.doIoRead(recorder.handler, 100_000, buffer)
      client.write(pattern(200_000))
      // The engine may have been done with the old number before it heard of the new one (AD-13).
      expect((await recorder.until(VCEvent.READ_COMPLETE)).ndone).toBe(200_000)
    })

    test('of a write, raised in its handlers (VIO-1)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { recorder } = world.check(server, 3000)
      const [buffer, reader] = world.pipe()
      buffer.write(pattern(1000))
      const writer = new Recorder((event, vio) => {
        if (event !== VCEvent.WRITE_COMPLETE || vio.nbytes >= 3000) return
        buffer.write(pattern(1000, vio.nbytes))
        vio.nbytes += 1000
        vio.reenable()
      })
      client.doIoWrite(writer.handler, 1000, reader)
      expect(await recorder.end()).toBe('READ_COMPLETE')
      await eventually(() => writer.count(VCEvent.WRITE_COMPLETE) === 3, 'three times complete')
    })

    test.each([1, 127, 128, 129, 4096, 65536, 1_000_003])(
      '%i bytes: COMPLETE at exactly that many on both sides (INV-3)',
      async (n) => {
        const { world } = box
        const [client, server] = await world.pair()
        const { stream, recorder } = world.check(server, n)
        const writer = new Recorder()
        client.doIoWrite(writer.handler, n, world.filled(pattern(n)))
        expect(await writer.end()).toBe('WRITE_COMPLETE')
        expect(await recorder.end()).toBe('READ_COMPLETE')
        expect([stream.count, writer.events.at(-1)?.ndone, recorder.events.at(-1)?.ndone]).toEqual([
          n,
          n,
          n,
        ])
      },
    )
  })
})
