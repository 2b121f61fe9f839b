import { type IOBufferReader, type MIOBuffer, tunnel } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

// Bytes that come into a buffer without a copy (BUF-7, BUF-13, AD-8), and what a buffer and its
// readers say of themselves (BUF-8, F-004, F-005, F-011).

describe('lend', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('is not copied, and told when the last byte was consumed (BUF-13)', async () => {
      const [buffer, reader] = box.world.pipe()
      const other = buffer.allocReader()
      const bytes = Buffer.from('lent to a buffer')
      let released = false
      const promise = buffer.lend(bytes).then(() => (released = true))
      buffer.write(' and more')
      bytes.write('LENT') // seen: it is the same memory
      expect(reader.read().toString()).toBe('LENT to a buffer and more')
      await new Promise((resolve) => setImmediate(resolve))
      expect(released).toBe(false) // the other reader has it
      other.dealloc()
      buffer.write('x')
      reader.reset()
      buffer.free()
      await promise
    })

    test('is sent from where it is, by a write operation', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream } = world.check(server)
      const [buffer, reader] = world.pipe()
      const n = 3_000_000
      const released = buffer.lend(pattern(n))
      const recorder = new Recorder()
      client.doIoWrite(recorder.handler, n, reader)
      expect(await recorder.end()).toBe('WRITE_COMPLETE')
      client.doIoWrite(null, 0, null)
      buffer.free()
      await released
      await eventually(() => stream.count === n, 'all there')
    })

    test('is released when its connection is closed in the middle, or reset (AD-8)', async () => {
      const { world } = box
      for (const end of ['doIoClose', 'closeWithReset'] as const) {
        const [client] = await world.pair()
        const [buffer, reader] = world.pipe()
        const released = buffer.lend(pattern(50_000_000)) // more than anything takes
        client.doIoWrite(() => {}, Infinity, reader)
        await eventually(() => (client.inspect()?.write.ndone ?? 0) > 0, 'some has left')
        client[end]()
        buffer.free()
        await released
      }
    })

    test('through a pair and a tunnel: who has lent has it back when it has left his buffer', async () => {
      const { world } = box
      const [a, b] = world.reactor.pair()
      const [c, d] = world.reactor.pair()
      tunnel(b, c)
      const { stream } = world.check(d)
      const [buffer, reader] = world.pipe()
      const n = 500_000
      const released = buffer.lend(pattern(n))
      const recorder = new Recorder()
      a.doIoWrite(recorder.handler, n, reader)
      expect(await recorder.end()).toBe('WRITE_COMPLETE')
      a.doIoWrite(null, 0, null)
      buffer.free()
      await released
      await eventually(() => stream.count === n, 'all there')
    })

    test('nothing at all, a wrong type, a freed or busy buffer', async () => {
      const { world } = box
      const [buffer] = world.pipe()
      await buffer.lend(new Uint8Array(0))
      expect(() => buffer.lend('text' as unknown as Uint8Array)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      )
      if (threads > 0) {
        const [, server] = await world.pair()
        server.doIoRead(() => {}, Infinity, buffer)
        for (const call of [
          () => buffer.lend(Buffer.from('x')),
          () => buffer.reserve(),
          () => buffer.fill(0),
        ]) {
          expect(call).toThrow(expect.objectContaining({ code: 'ERR_BUFFER_BUSY' }))
        }
      }
      const freed = world.buffer()
      freed.free()
      expect(() => freed.lend(Buffer.from('x'))).toThrow(
        expect.objectContaining({ code: 'ERR_BUFFER_FREED' }),
      )
    })
  })
})

describe('reserve and fill (BUF-7)', () => {
  const box = useWorld(0)

  test('bytes are put where they stay', () => {
    const [buffer, reader] = box.world.pipe({ blockSize: 128 })
    const stream = new PatternChecker()
    for (let sent = 0; sent < 10_000;) {
      const room = buffer.reserve()
      const n = Math.min(room.length, 1 + (sent % 100), 10_000 - sent)
      room.set(pattern(n, sent))
      buffer.fill(n)
      sent += n
      stream.take(reader.read())
    }
    expect(stream.count).toBe(10_000)
  })

  test('what is not filled is not there; more than the room is refused', () => {
    const [buffer, reader] = box.world.pipe({ blockSize: 128 })
    expect(buffer.reserve().length).toBe(128)
    expect(buffer.reserve().length).toBe(128)
    expect(reader.readAvail).toBe(0)
    expect(() => buffer.fill(129)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    expect(() => buffer.fill(-1)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    expect(reader.readAvail).toBe(0)
    buffer.fill(128)
    expect([reader.readAvail, buffer.writeAvail]).toEqual([128, 0])
  })
})

describe('what they say of themselves', () => {
  const box = useWorld(0)

  test('a reader (F-005, BUF-8)', () => {
    const [buffer, reader] = box.world.pipe({ blockSize: 128, waterMark: 300 })
    expect([reader.blockReadAvail, reader.blockCount, reader.highWater]).toEqual([0, 0, false])
    buffer.write(pattern(299))
    expect([reader.blockReadAvail, reader.blockCount, reader.highWater]).toEqual([128, 3, false])
    buffer.write(pattern(1, 299))
    expect(reader.highWater).toBe(true)
    expect([299, 300, 301].map((n) => reader.isReadAvailMoreThan(n))).toEqual([true, false, false])
    expect([reader.byteAt(0), reader.byteAt(200)]).toEqual([pattern(1)[0], pattern(1, 200)[0]])
    for (const i of [300, -1, 0.5]) {
      expect(() => reader.byteAt(i)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    }
    reader.reset()
    expect([reader.readAvail, buffer.maxReadAvail]).toEqual([0, 0])
  })

  test('a buffer (BUF-8, BUF-9)', () => {
    const [buffer] = box.world.pipe({ blockSize: 128, waterMark: 50 })
    expect([buffer.highWater, buffer.currentLowWater]).toEqual([false, true])
    buffer.write(pattern(50))
    expect([buffer.highWater, buffer.currentLowWater]).toEqual([false, false])
    buffer.write(pattern(28, 50))
    expect([buffer.highWater, buffer.currentLowWater]).toEqual([true, true])
  })

  test('all readers go, and none comes back as another one (F-004)', () => {
    const [buffer, one] = box.world.pipe()
    const two = one.clone()
    buffer.write('text')
    buffer.deallocAllReaders()
    expect(buffer.readerCount).toBe(0)
    const next = buffer.allocReader()
    for (const gone of [one, two]) {
      expect(() => gone.readAvail).toThrow(expect.objectContaining({ code: 'ERR_READER_CLOSED' }))
      expect(() => gone.consume(0)).toThrow(expect.objectContaining({ code: 'ERR_READER_CLOSED' }))
    }
    expect(next.readAvail).toBe(4)
  })
})

describe('memory of what is written by reference (PV-13)', () => {
  const box = useWorld(0)
  const block = 32 * 1024
  // Each piece is 128 bytes, which is shared, behind a smaller one, which is copied.
  const sources: [string, (small: IOBufferReader) => (to: MIOBuffer) => void][] = [
    [
      'pieces of one block',
      (piece) => (to) => {
        to.writeFrom(piece, 1)
        to.writeFrom(piece, 128)
      },
    ],
    [
      'pieces of a block each',
      () => (to) => {
        const [from, piece] = box.world.pipe()
        from.write(pattern(128))
        to.writeFrom(piece, 1)
        to.writeFrom(piece, 128)
        from.free()
      },
    ],
  ]
  test.each(sources)(
    'is bounded between the ends of a pair, and behind them: %s',
    async (_, make) => {
      const { world } = box
      const [a, p] = world.reactor.pair()
      const put = make(world.filled(pattern(128)))
      const [out, reader] = world.pipe({ waterMark: 0 })
      const before = world.reactor.stats().blockBytes
      const memory = () => world.reactor.stats().blockBytes - before
      const marks = 4 * block + 2 * block
      for (let i = 0; i < 800; i++) put(out)
      const bytes = reader.readAvail
      expect(memory()).toBeLessThanOrEqual(bytes + marks)
      a.doIoWrite(() => {}, Infinity, reader)
      await eventually(() => a.inspect()?.write.ndone === block, 'the pair is full')
      expect(memory()).toBeLessThanOrEqual(bytes + 2 * marks)
      const [into, got] = world.pipe()
      p.doIoRead(() => {}, Infinity, into)
      await eventually(() => got.readAvail === Math.min(bytes, 2 * block), 'its reader is full')
      expect(memory()).toBeLessThanOrEqual(bytes + 2 * marks + 4 * 2 * block + 2 * block)
    },
  )
})
