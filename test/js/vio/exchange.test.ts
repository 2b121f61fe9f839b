import { type IOBufferReader, type MIOBuffer, VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'
import { patience } from '../support/patience.js'

const names = (r: Recorder) => [...new Set(r.names)]
/** Nothing is under way to this thread any more: an answer of the connection's thread came after it. */
const settled = (vc: VConnection) => vc.inspect()

describe('setContinuation (VIO-5)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('null: nothing is read or told, the end included; then the next handler hears it all', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const first = new Recorder()
      const vio = server.doIoRead(first.handler, Infinity, buffer)
      vio.setContinuation(null)
      settled(server)
      client.write('hello')
      client.doIoShutdown('write')
      await eventually(() => server.inspect()?.read.enabled === false, 'reading has stopped')
      expect(reader.readAvail).toBe(0)
      expect(first.events).toEqual([])
      const second = new Recorder()
      vio.setContinuation(second.handler)
      expect(await second.end()).toBe('EOS')
      expect(names(second)).toEqual(['READ_READY', 'EOS'])
      expect(reader.read().toString()).toBe('hello')
      expect(vio.ndone).toBe(5)
      expect(first.events).toEqual([])
    })

    test('null in a handler: what was on its way is told to the next one', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const first = new Recorder((_, vio) => vio.setContinuation(null))
      const vio = server.doIoRead(first.handler, Infinity, buffer)
      client.write('one')
      await first.until(VCEvent.READ_READY)
      client.write('two')
      client.doIoShutdown('write')
      await eventually(() => client.writableLength === 0, 'sent')
      settled(server)
      const second = new Recorder()
      vio.setContinuation(second.handler)
      expect(await second.end()).toBe('EOS')
      expect(first.names).toEqual(['READ_READY'])
      expect(reader.read().toString()).toBe('onetwo')
      expect(vio.ndone).toBe(6)
    })

    // Only a net thread is ahead of what was told.
    test.runIf(threads > 0)('a complete that came for nobody is told to the next one', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const first = new Recorder()
      const vio = server.doIoRead(first.handler, 4, buffer)
      client.write('four')
      await turn() // written; this thread hears nothing before its next turn
      const limit = Date.now() + patience
      while (server.inspect()?.read.ndone !== 4 && Date.now() < limit);
      vio.setContinuation(null)
      await eventually(() => vio.ndone === 4 || first.events.length > 0, 'the record has come')
      const second = new Recorder()
      if (first.events.length === 0) {
        vio.setContinuation(second.handler)
        await second.end()
      }
      expect([...first.names, ...second.names]).toEqual(['READ_COMPLETE'])
      expect(reader.read().toString()).toBe('four')
    })

    test('an operation that is armed for nobody begins with its first handler (VC-1)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const vio = server.doIoRead(null, 5, buffer)
      client.write('hello')
      await eventually(() => client.writableLength === 0, 'sent')
      settled(server)
      expect(reader.readAvail).toBe(0)
      const recorder = new Recorder()
      vio.setContinuation(recorder.handler)
      expect(await recorder.end()).toBe('READ_COMPLETE')
      expect(reader.read().toString()).toBe('hello')
    })

    test('writing stops too, and goes on', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream } = world.check(server)
      const [buffer, reader] = world.pipe()
      const first = new Recorder()
      const vio = client.doIoWrite(first.handler, 10_000, reader)
      await first.until(VCEvent.WRITE_READY)
      vio.setContinuation(null)
      buffer.write(pattern(10_000))
      vio.reenable()
      await eventually(() => client.inspect()?.write.enabled === false, 'stopped')
      expect(reader.readAvail).toBe(10_000)
      const second = new Recorder()
      vio.setContinuation(second.handler)
      expect(await second.end()).toBe('WRITE_COMPLETE')
      await eventually(() => stream.count === 10_000, 'all there')
      expect(first.names).toEqual(['WRITE_READY'])
    })

    test('one handler after another, never null: nothing stops', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const stream = new PatternChecker()
      const second = new Recorder(() => stream.take(reader.read()))
      const first = new Recorder((_, vio) => {
        stream.take(reader.read())
        vio.setContinuation(second.handler)
      })
      server.doIoRead(first.handler, Infinity, buffer)
      client.write(pattern(300_000))
      client.doIoShutdown('write')
      expect(await second.end()).toBe('EOS')
      expect(first.events.length).toBe(1)
      expect(stream.count).toBe(300_000)
    })
  })
})

describe('another buffer, another reader (VIO-1, F-015, F-016)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('in a handler: what comes then is in the new buffer, and ndone goes on', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [one, first] = world.pipe()
      const [two, second] = world.pipe()
      const recorder = new Recorder((_, vio) => (vio.buffer = two))
      const vio = server.doIoRead(recorder.handler, Infinity, one)
      client.write('one')
      await recorder.until(VCEvent.READ_READY)
      expect(vio.buffer).toBe(two)
      settled(server)
      client.write('two')
      await eventually(() => second.readAvail === 3, 'in the new one')
      expect(first.read().toString()).toBe('one')
      expect(second.read().toString()).toBe('two')
      await eventually(() => vio.ndone === 6, 'counted')
    })

    test('a full operation goes on with an empty buffer, nothing lost', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [one, first] = world.pipe({ blockSize: 4096, waterMark: 8192 })
      const recorder = new Recorder()
      const vio = server.doIoRead(recorder.handler, Infinity, one)
      client.write(pattern(300_000))
      client.doIoShutdown('write')
      await eventually(() => server.inspect()?.read.enabled === false, 'full')
      const [two, second] = world.pipe({ waterMark: 1 << 20 })
      vio.buffer = two
      expect(await recorder.end()).toBe('EOS')
      const stream = new PatternChecker()
      stream.take(first.read())
      stream.take(second.read())
      expect(stream.count).toBe(300_000)
    })

    test('undefined: reading stops until there is one again', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [one, first] = world.pipe()
      const recorder = new Recorder()
      const vio = server.doIoRead(recorder.handler, Infinity, one)
      vio.buffer = undefined
      settled(server)
      client.write('hello')
      await eventually(() => client.writableLength === 0, 'sent')
      settled(server)
      expect(first.readAvail).toBe(0)
      vio.buffer = one
      await eventually(() => first.readAvail === 5, 'read')
    })

    test('a write operation goes on with another reader', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [into, got] = world.pipe()
      server.doIoRead(() => {}, Infinity, into)
      const second = world.filled(Buffer.from('two'))
      const recorder = new Recorder((event, vio) => {
        if (event === VCEvent.WRITE_READY && vio.reader === first) vio.reader = second
      })
      const first = world.filled(Buffer.from('one'))
      client.doIoWrite(recorder.handler, 6, first)
      expect(await recorder.end()).toBe('WRITE_COMPLETE')
      await eventually(() => got.readAvail === 6, 'all there')
      expect(got.read().toString()).toBe('onetwo')
    })

    test('the wrong side, a freed buffer and a closed connection are refused', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const reading = server.doIoRead(() => {}, Infinity, buffer)
      const writing = client.doIoWrite(() => {}, Infinity, reader)
      const freed = world.buffer()
      freed.free()
      const codes: [() => void, string][] = [
        [() => (reading.reader = reader), 'ERR_INVALID_ARG_VALUE'],
        [() => (writing.buffer = buffer), 'ERR_INVALID_ARG_VALUE'],
        [() => (reading.buffer = 5 as unknown as MIOBuffer), 'ERR_INVALID_ARG_TYPE'],
        [() => (writing.reader = {} as unknown as IOBufferReader), 'ERR_INVALID_ARG_TYPE'],
        [() => (reading.buffer = freed), 'ERR_BUFFER_FREED'],
      ]
      for (const [call, code] of codes) expect(call).toThrow(expect.objectContaining({ code }))
      server.doIoClose()
      expect(() => (reading.buffer = buffer)).toThrow(
        expect.objectContaining({ code: 'ERR_VC_CLOSED' }),
      )
    })
  })
})
