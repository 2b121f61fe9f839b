import { VCEvent } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

const busy = expect.objectContaining({ code: 'ERR_BUFFER_BUSY' })

/** 4.2: on net threads one side of an attached buffer belongs to the net thread. */
describe('a buffer in use', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('by a read operation: its readers are ours, its writer is not', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      server.doIoRead(() => {}, Infinity, buffer)
      client.write(pattern(100))
      await eventually(() => reader.readAvail === 100, 'bytes')
      expect(reader.read(10).equals(pattern(10))).toBe(true)
      expect(buffer.maxReadAvail).toBe(90)
      const writes = [
        () => buffer.write('x'),
        () => buffer.allocReader(),
        () => (buffer.waterMark = 5),
        () => reader.clone(),
      ]
      for (const call of writes) {
        if (threads > 0) expect(call, String(call)).toThrow(busy)
        else call()
      }
    })

    test('by a write operation: its writer is ours, its reader is not', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const writer = new Recorder()
      const vio = client.doIoWrite(writer.handler, Infinity, reader)
      await writer.until(VCEvent.WRITE_READY)
      const { stream } = world.check(server)
      buffer.write(pattern(100))
      vio.reenable()
      await eventually(() => stream.count === 100, 'bytes')
      const reads = [
        () => reader.read(),
        () => reader.peek(Buffer.alloc(1)),
        () => reader.consume(0),
        () => reader.borrow(),
        () => reader.indexOf(1),
        () => reader.clone(),
      ]
      for (const call of reads) {
        if (threads > 0) expect(call, String(call)).toThrow(busy)
        else call()
      }
      await eventually(() => reader.readAvail === 0, 'sent') // the peer may have it before
    })

    test('at the end of the operation both sides are ours again', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const recorder = new Recorder()
      server.doIoRead(recorder.handler, 100, buffer)
      client.write(pattern(100))
      expect(await recorder.end()).toBe('READ_COMPLETE')
      server.doIoRead(null, 0, null)
      await eventually(() => {
        try {
          return buffer.write(pattern(10, 100)) === 10
        } catch {
          return false
        }
      }, 'the writer side is free')
      expect(reader.read().equals(pattern(110))).toBe(true)
    })

    test('after doIoClose it is free within a turn of the engine', async () => {
      const { world } = box
      const [, server] = await world.pair()
      const [buffer] = world.pipe()
      server.doIoRead(() => {}, Infinity, buffer)
      server.doIoClose()
      await eventually(() => {
        try {
          return buffer.write('x') === 1
        } catch {
          return false
        }
      }, 'the writer side is free')
    })

    test('one buffer between two operations: read into it, write from it', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [back, backPeer] = await world.pair()
      const [buffer, reader] = world.pipe()
      const out = back.doIoWrite(() => {}, Infinity, reader)
      const source = server.doIoRead(() => out.reenable(), Infinity, buffer)
      const { stream } = world.check(backPeer)
      client.write(pattern(500_000))
      await eventually(() => {
        out.reenable()
        source.reenable()
        return stream.count === 500_000
      }, 'all went through')
    })
  })
})
