import { VCEvent } from 'netvc'
import { describe, expect, test } from 'vitest'
import { transports } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

const megabyte = 1 << 20

describe('half close', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(transports))(
      '%s: after the FIN of the peer all can still be written (INV-17)',
      async (_, address) => {
        const { world } = box
        const [client, server] = await world.pair(address())
        const answer = world.check(client)
        client.doIoShutdown('write')
        expect(await world.check(server).recorder.end()).toBe('EOS')
        const writer = new Recorder()
        server.doIoWrite(writer.handler, megabyte, world.filled(pattern(megabyte)))
        expect(await writer.end()).toBe('WRITE_COMPLETE')
        server.doIoClose()
        expect(await answer.recorder.end()).toBe('EOS')
        expect(answer.stream.count).toBe(megabyte)
      },
    )

    test.each(Object.entries(transports))(
      '%s: after our SHUT_WR all can still be read (INV-17)',
      async (_, address) => {
        const { world } = box
        const [client, server] = await world.pair(address())
        client.write('x')
        client.doIoShutdown('write')
        const answer = world.check(client)
        server.write(pattern(megabyte))
        server.doIoShutdown('write')
        expect(await answer.recorder.end()).toBe('EOS')
        expect(answer.stream.count).toBe(megabyte)
      },
    )

    test('messages given to write() before leave ahead of the FIN', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write(pattern(3 * megabyte))
      client.write(pattern(100, 3 * megabyte))
      client.doIoShutdown('write')
      const { stream, recorder } = world.check(server)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(3 * megabyte + 100)
    })

    test('bytes of a write operation that were not sent are not flushed (VC-5)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const writer = new Recorder()
      client.doIoWrite(writer.handler, 64 * megabyte, world.filled(pattern(64 * megabyte)))
      await writer.until(VCEvent.WRITE_READY)
      client.doIoShutdown('write')
      const told = writer.events.length
      const { stream, recorder } = world.check(server)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBeLessThan(64 * megabyte)
      expect(writer.events.length).toBe(told)
    })

    test('no event of a side that was shut down; both sides add up (VC-5, B-9)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const read = new Recorder()
      const write = new Recorder()
      client.doIoRead(read.handler, Infinity, world.buffer())
      const [, reader] = world.pipe()
      client.doIoWrite(write.handler, Infinity, reader)
      await write.until(VCEvent.WRITE_READY)
      client.doIoShutdown('read')
      client.doIoShutdown('write')
      const told = write.events.length
      expect(await world.check(server).recorder.end()).toBe('EOS')
      await eventually(() => client.inspect()?.shut === 3, 'both sides')
      expect(read.names).toEqual([])
      expect(write.events.length).toBe(told)
      expect(client.closed).toBe(false)
      client.doIoClose()
    })

    test('SHUT_RD keeps the read side off though the kernel still delivers (VC-6)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const read = new Recorder()
      server.doIoRead(read.handler, Infinity, world.buffer())
      server.doIoShutdown('read')
      client.write('x')
      server.write(pattern(10))
      expect(await world.check(client, 10).recorder.end()).toBe('READ_COMPLETE')
      expect(read.names).toEqual([])
    })

    test('both sides shut down, in either order: the peer sees EOS, we close', async () => {
      const { world } = box
      for (const first of ['read', 'write'] as const) {
        const [client, server] = await world.pair()
        client.doIoShutdown(first)
        client.doIoShutdown('both')
        expect(await world.check(server).recorder.end()).toBe('EOS')
        client.doIoClose()
        expect(client.closed).toBe(true)
      }
    })
  })
})
