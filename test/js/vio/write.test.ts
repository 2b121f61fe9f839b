import { VCEvent } from 'netvc'
import { describe, expect, test } from 'vitest'
import { transports } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

describe('write operation', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(transports))(
      '%s: a buffer that holds nbytes is sent, and only WRITE_COMPLETE is told (WR-16)',
      async (_, address) => {
        const { world } = box
        const [client, server] = await world.pair(address())
        const { stream, recorder } = world.check(server, 5000)
        const writer = new Recorder()
        client.doIoWrite(writer.handler, 5000, world.filled(pattern(5000)))
        expect(await writer.end()).toBe('WRITE_COMPLETE')
        expect(await recorder.end()).toBe('READ_COMPLETE')
        expect(writer.names).toEqual(['WRITE_COMPLETE'])
        expect(stream.count).toBe(5000)
      },
    )

    test('never more than nbytes leave, whatever the buffer holds (WR-8, B-16)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream, recorder } = world.check(server)
      const reader = world.filled(pattern(10_000), { blockSize: 4096 })
      const writer = new Recorder()
      client.doIoWrite(writer.handler, 5000, reader)
      expect(await writer.end()).toBe('WRITE_COMPLETE')
      client.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(5000)
      expect(reader.readAvail).toBe(5000)
    })

    test('WRITE_READY comes first when the buffer has less, and what it adds leaves (WR-5)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { recorder } = world.check(server, 300)
      const [buffer, reader] = world.pipe()
      let sent = 0
      const writer = new Recorder((event) => {
        if (event !== VCEvent.WRITE_READY || sent >= 300) return
        buffer.write(pattern(100, sent))
        sent += 100
      })
      client.doIoWrite(writer.handler, 300, reader)
      expect(await writer.end()).toBe('WRITE_COMPLETE')
      expect(await recorder.end()).toBe('READ_COMPLETE')
      expect(writer.names.slice(0, 1)).toEqual(['WRITE_READY'])
      expect(writer.events.at(-1)?.ndone).toBe(300)
    })

    test('its buffer is freed: what it holds leaves, and the handler hears of it', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream, recorder } = world.check(server)
      const [buffer, reader] = world.pipe()
      const writer = new Recorder()
      buffer.write(pattern(100))
      client.doIoWrite(writer.handler, 300, reader)
      buffer.free()
      await eventually(() => stream.count === 100, 'all that it holds has left')
      expect(new Set(writer.names)).toEqual(new Set(['WRITE_READY']))
      client.doIoClose()
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(100)
    })

    test('the handler frees its buffer: what it had added leaves (WR-5)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream, recorder } = world.check(server, 200)
      const [buffer, reader] = world.pipe()
      const writer = new Recorder((event, vio) => {
        if (event !== VCEvent.WRITE_READY || buffer.isFreed) return
        buffer.write(pattern(100, 100))
        vio.reenable()
        buffer.free()
      })
      buffer.write(pattern(100))
      client.doIoWrite(writer.handler, 200, reader)
      expect(await writer.end()).toBe('WRITE_COMPLETE')
      expect(await recorder.end()).toBe('READ_COMPLETE')
      expect(stream.count).toBe(200)
    })

    test('an empty buffer stops the operation until reenable (WR-14)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream, recorder } = world.check(server, 10)
      const [buffer, reader] = world.pipe()
      const writer = new Recorder()
      const vio = client.doIoWrite(writer.handler, 10, reader)
      await writer.until(VCEvent.WRITE_READY)
      expect(stream.count).toBe(0)
      await turn()
      buffer.write(pattern(10))
      vio.reenable()
      expect(await writer.end()).toBe('WRITE_COMPLETE')
      expect(await recorder.end()).toBe('READ_COMPLETE')
    })

    test('an unlimited write goes on with every reenable (VIO-1)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream, recorder } = world.check(server, 3000)
      const [buffer, reader] = world.pipe()
      const writer = new Recorder()
      const vio = client.doIoWrite(writer.handler, Infinity, reader)
      expect(vio.ntodo).toBe(Infinity)
      await writer.until(VCEvent.WRITE_READY)
      for (let i = 0; i < 3; i++) {
        expect(buffer.write(pattern(1000, i * 1000))).toBe(1000)
        vio.reenable()
        await eventually(() => stream.count === (i + 1) * 1000, 'that many arrive')
      }
      expect(await recorder.end()).toBe('READ_COMPLETE')
    })

    test('done() ends a write with what its buffer has, however far the engine is (VIO-2)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream } = world.check(server)
      const [buffer, reader] = world.pipe()
      const writer = new Recorder()
      const vio = client.doIoWrite(writer.handler, Infinity, reader)
      await writer.until(VCEvent.WRITE_READY)
      buffer.write(pattern(1000))
      vio.reenable()
      await eventually(() => stream.count === 1000, 'the first bytes arrive')
      buffer.write(pattern(500, 1000))
      vio.done()
      vio.reenable()
      expect(await writer.end()).toBe('WRITE_COMPLETE')
      expect([vio.ndone, vio.nbytes, vio.ntodo]).toEqual([1500, 1500, 0])
      await eventually(() => stream.count === 1500, 'the rest arrives')
    })

    test('done() of a read ends it in silence (VIO-2)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const recorder = new Recorder((_, vio) => vio.done())
      server.doIoRead(recorder.handler, Infinity, buffer)
      client.write(pattern(10))
      await recorder.until(VCEvent.READ_READY)
      client.doIoShutdown('write')
      const { recorder: rest } = world.check(server, Infinity, reader.readAvail)
      expect(await rest.end()).toBe('EOS')
      expect(recorder.names).not.toContain('READ_COMPLETE')
    })

    test('write of nbytes 0 tells nothing (VC-3)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const silent = new Recorder()
      client.doIoWrite(silent.handler, 0, world.filled(pattern(5)))
      client.write(pattern(3))
      expect(await world.check(server, 3).recorder.end()).toBe('READ_COMPLETE')
      expect(silent.names).toEqual([])
    })

    test('trapWriteBufferEmpty: one event when the buffer was emptied (WR-11)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      world.check(server)
      const [buffer, reader] = world.pipe()
      let at = 0
      const add = () => {
        buffer.write(pattern(1000, at))
        at += 1000
      }
      const writer = new Recorder((event) => {
        if (event === VCEvent.WRITE_READY && at < 1000) add()
      })
      client.trapWriteBufferEmpty()
      client.doIoWrite(writer.handler, 3000, reader)
      await writer.until(VCEvent.WRITE_BUFFER_EMPTY)
      add()
      client.doIoWrite(null, 0, null)
      expect(writer.count(VCEvent.WRITE_BUFFER_EMPTY)).toBe(1)
    })

    test('setContinuation: the next event goes to the new handler (VIO-5)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      world.check(server)
      const second = new Recorder()
      const [buffer, reader] = world.pipe()
      const first = new Recorder((event, vio) => {
        vio.setContinuation(second.handler)
        buffer.write(pattern(10))
      })
      client.doIoWrite(first.handler, 10, reader)
      expect(await second.end()).toBe('WRITE_COMPLETE')
      expect(first.names).toEqual(['WRITE_READY'])
    })

    test('write to a peer that is gone ends in ERROR or EOS, once (WR-10, B-13)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const writer = new Recorder((event) => {
        if (event === VCEvent.WRITE_READY) buffer.write(pattern(65536))
      })
      client.doIoWrite(writer.handler, Infinity, reader)
      await writer.until(VCEvent.WRITE_READY)
      server.doIoClose()
      expect(await writer.end()).toMatch(/^(EOS|ERROR)$/)
      expect(client.error?.code).toMatch(/^(ECONNRESET|EPIPE)$/)
      expect(client.closed).toBe(false)
    })

    test('doIoWrite inside WRITE_COMPLETE starts the next one (SIG-3)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { recorder } = world.check(server, 4000)
      let n = 0
      const writer = new Recorder((event) => {
        if (event !== VCEvent.WRITE_COMPLETE || ++n >= 4) return
        client.doIoWrite(writer.handler, 1000, world.filled(pattern(1000, n * 1000)))
      })
      client.doIoWrite(writer.handler, 1000, world.filled(pattern(1000)))
      expect(await recorder.end()).toBe('READ_COMPLETE')
      await eventually(() => n === 4, 'four times complete')
    })
  })
})
