import type { NetvcError } from 'netvc'
import { describe, expect, test } from 'vitest'
import { eventually, useWorld } from '../support/fixture.js'
import {
  integerBelow,
  logarithmic,
  pattern,
  PatternChecker,
  random,
  seeds,
} from '../support/pattern.js'

const freed = { code: 'ERR_BUFFER_FREED' }
const codeOf = (call: () => unknown) => {
  try {
    call()
  } catch (error) {
    return (error as NetvcError).code
  }
  return undefined
}

describe('MIOBuffer', () => {
  const box = useWorld(0)

  test('what is written can be read, and is counted (BUF-5, BUF-6)', () => {
    const [buffer, reader] = box.world.pipe()
    expect(buffer.write(pattern(100_000))).toBe(100_000)
    expect([buffer.produced, buffer.maxReadAvail, reader.readAvail]).toEqual([
      100_000, 100_000, 100_000,
    ])
    expect(reader.read(10).equals(pattern(10))).toBe(true)
    expect(reader.read().equals(pattern(99_990, 10))).toBe(true)
    expect([buffer.produced, buffer.maxReadAvail, reader.readAvail]).toEqual([100_000, 0, 0])
    expect(reader.read().length).toBe(0)
    expect(buffer.write('äöü')).toBe(6)
    expect(reader.read().toString()).toBe('äöü')
    expect(buffer.write(new Uint8Array(0))).toBe(0)
  })

  test.each([1, 128, 129, 4096, 100_000, 2 * 1024 * 1024])(
    'blockSize %i works, rounded up',
    (blockSize) => {
      if (blockSize < 128) return
      const [buffer, reader] = box.world.pipe({ blockSize })
      buffer.write(pattern(5000))
      expect(buffer.writeAvail).toBeGreaterThanOrEqual(0)
      expect(reader.read().equals(pattern(5000))).toBe(true)
    },
  )

  test('a Buffer from read() is the reader’s own for ever', () => {
    const [buffer, reader] = box.world.pipe({ blockSize: 128 })
    const kept: Buffer[] = []
    for (let i = 0; i < 2000; i++) {
      buffer.write(pattern(500, i * 500))
      kept.push(reader.read())
    }
    kept.forEach((bytes, i) => expect(bytes.equals(pattern(500, i * 500))).toBe(true))
    expect(Buffer.isBuffer(kept[0])).toBe(true)
    expect(kept[0].subarray(1, 3)).toBeInstanceOf(Uint8Array)
    expect(kept[0].toString('hex').length).toBe(1000)
  })

  test.each([64 * 1024 - 1, 64 * 1024, 256 * 1024, 256 * 1024 + 1, 5_000_000])(
    'read() of %i bytes at once',
    (n) => {
      const [buffer, reader] = box.world.pipe()
      buffer.write(pattern(n))
      expect(reader.read().equals(pattern(n))).toBe(true)
    },
  )

  test('water marks: highWater is more than waterMark unread (BUF-8)', () => {
    const [buffer, reader] = box.world.pipe({ waterMark: 1000 })
    expect(buffer.waterMark).toBe(1000)
    buffer.write(pattern(1000))
    expect(buffer.highWater).toBe(false)
    buffer.write(pattern(1))
    expect(buffer.highWater).toBe(true)
    buffer.waterMark = 2000
    expect(buffer.highWater).toBe(false)
    buffer.waterMark = 0
    expect(buffer.highWater).toBe(true)
    reader.consume(1001)
    expect(buffer.highWater).toBe(false)
  })

  test('five readers, each at its own place; the slowest one counts (BUF-2, BUF-8)', () => {
    const [buffer, first] = box.world.pipe()
    buffer.write(pattern(1000))
    const readers = [first, ...Array.from({ length: 4 }, () => first.clone())]
    expect(buffer.readerCount).toBe(5)
    expect(codeOf(() => buffer.allocReader())).toBe('ERR_TOO_MANY_READERS')
    expect(codeOf(() => first.clone())).toBe('ERR_TOO_MANY_READERS')
    readers.forEach((reader, i) => reader.consume(i * 100))
    readers.forEach((reader, i) => expect(reader.readAvail).toBe(1000 - i * 100))
    expect(buffer.maxReadAvail).toBe(1000)
    first.dealloc()
    expect(buffer.maxReadAvail).toBe(900)
    expect(buffer.readerCount).toBe(4)
    const again = buffer.allocReader()
    expect(again.readAvail).toBeLessThanOrEqual(1000)
    readers
      .slice(1)
      .forEach((reader, i) =>
        expect(reader.read().equals(pattern(900 - i * 100, (i + 1) * 100))).toBe(true),
      )
  })

  test('writeFrom adds by reference, with offset and limit, and consumes nothing (BUF-6)', () => {
    const [source, from] = box.world.pipe({ blockSize: 128 })
    const [target, reader] = box.world.pipe()
    source.write(pattern(1000))
    expect(target.writeFrom(from, 100, 50)).toBe(100)
    expect(target.writeFrom(from)).toBe(1000)
    expect(target.writeFrom(from, Infinity, 990)).toBe(10)
    expect(target.writeFrom(from, 5, 1000)).toBe(0)
    expect(target.writeFrom(from, 5, 2 ** 52)).toBe(0)
    expect(target.writeFrom(from, Infinity, Infinity)).toBe(0)
    expect(from.readAvail).toBe(1000)
    source.free()
    expect(reader.read(100).equals(pattern(100, 50))).toBe(true)
    expect(reader.read(1000).equals(pattern(1000))).toBe(true)
    expect(reader.read().equals(pattern(10, 990))).toBe(true)
  })

  test('writeFrom a reader of the same buffer doubles it', () => {
    const [buffer, reader] = box.world.pipe({ blockSize: 128 })
    buffer.write(pattern(500))
    expect(buffer.writeFrom(reader)).toBe(500)
    expect(Buffer.concat([pattern(500), pattern(500)]).equals(reader.read())).toBe(true)
  })

  test('free(): blocks go back, every later call is ERR_BUFFER_FREED, twice is once', async () => {
    const { world } = box
    const blocks = world.reactor.stats().blocks
    const [buffer, reader] = world.pipe()
    buffer.write(pattern(1_000_000))
    expect(world.reactor.stats().blocks).toBeGreaterThan(blocks)
    const buffers = world.reactor.stats().buffers
    buffer.free()
    buffer.free()
    expect(world.reactor.stats()).toMatchObject({ blocks, buffers: buffers - 1 })
    const [vc] = await world.pair()
    const [other] = world.pipe()
    const calls: (() => unknown)[] = [
      () => buffer.allocReader(),
      () => buffer.write('x'),
      () => buffer.writeFrom(other.allocReader()),
      () => other.writeFrom(reader),
      () => buffer.maxReadAvail,
      () => buffer.writeAvail,
      () => buffer.highWater,
      () => buffer.waterMark,
      () => (buffer.waterMark = 1),
      () => buffer.produced,
      () => buffer.readerCount,
      () => reader.readAvail,
      () => reader.read(),
      () => reader.peek(Buffer.alloc(1)),
      () => reader.borrow(),
      () => reader.consume(0),
      () => reader.indexOf(1),
      () => reader.sizeLimit,
      () => (reader.sizeLimit = 1),
      () => reader.clone(),
      () => reader.dealloc(),
      () => vc.doIoRead(() => {}, 1, buffer),
      () => vc.doIoWrite(() => {}, 1, reader),
    ]
    for (const call of calls) expect(call, String(call)).toThrow(expect.objectContaining(freed))
  })

  test('a buffer that an operation uses may be freed: the operation keeps its hold', async () => {
    const { world } = box
    const [client, server] = await world.pair()
    const buffer = world.buffer()
    let told = 0
    server.doIoRead(() => told++, Infinity, buffer)
    buffer.free()
    client.write(pattern(10_000))
    await eventually(() => told > 0, 'an event')
    server.doIoClose()
  })

  test.each(seeds(3))(
    'random writes, reads and readers keep the bytes (INV-4), seed %i',
    (seed) => {
      const next = random(seed)
      const [buffer, first] = box.world.pipe({
        blockSize: logarithmic(next, 128, 65536),
        waterMark: integerBelow(next, 100_000),
      })
      const readers = [first, first.clone(), first.clone()].map((reader) => ({
        reader,
        stream: new PatternChecker(),
      }))
      let written = 0
      for (let i = 0; i < 3000; i++) {
        const n = integerBelow(next, 3000)
        if (integerBelow(next, 2)) {
          buffer.write(pattern(n, written))
          written += n
        }
        const { reader, stream } = readers[integerBelow(next, 3)]
        expect(reader.readAvail).toBe(written - stream.count)
        stream.take(integerBelow(next, 2) ? reader.read(n) : reader.read())
      }
      for (const { reader, stream } of readers) {
        stream.take(reader.read())
        expect(stream.count).toBe(written)
      }
    },
  )
})
