import { describe, expect, test } from 'vitest'
import { endsWell, runChild } from '../support/child.js'
import { useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

describe('IOBufferReader', () => {
  const box = useWorld(0)

  test('peek copies from an offset, as much as fits, and consumes nothing (BUF-5)', () => {
    const reader = box.world.filled(pattern(1000), { blockSize: 128 })
    const target = Buffer.alloc(300)
    expect(reader.peek(target)).toBe(300)
    expect(target.equals(pattern(300))).toBe(true)
    expect(reader.peek(target, 900)).toBe(100)
    expect(target.subarray(0, 100).equals(pattern(100, 900))).toBe(true)
    expect([
      reader.peek(target, 1000),
      reader.peek(target, 5000),
      reader.peek(target, Infinity),
    ]).toEqual([0, 0, 0])
    expect(reader.peek(new Uint8Array(0))).toBe(0)
    expect(reader.readAvail).toBe(1000)
  })

  test('readInto copies as much as fits, and consumes it (BUF-5)', () => {
    const reader = box.world.filled(pattern(1000), { blockSize: 128 })
    const target = new Uint8Array(300)
    for (const [at, n] of [
      [0, 300],
      [300, 300],
      [600, 300],
      [900, 100],
      [1000, 0],
    ] as const) {
      expect(reader.readInto(target)).toBe(n)
      expect(pattern(n, at).equals(target.subarray(0, n))).toBe(true)
      expect(reader.readAvail).toBe(1000 - at - n)
    }
    expect(reader.readInto(new Uint8Array(0))).toBe(0)
  })

  test('borrow shows the contiguous bytes without copying; consume goes on (IOBufferReader.borrow)', () => {
    const reader = box.world.filled(pattern(1000), { blockSize: 256 })
    const parts: Buffer[] = []
    while (reader.readAvail > 0) {
      const view = reader.borrow()
      expect(view.length).toBeGreaterThan(0)
      expect(view.length).toBeLessThanOrEqual(256)
      parts.push(Buffer.from(view))
      reader.consume(view.length)
    }
    expect(Buffer.concat(parts).equals(pattern(1000))).toBe(true)
    expect(reader.borrow().length).toBe(0)
  })

  test('NETVC_DEBUG=borrow hands out copies', async () => {
    const script = `
      const buffer = new MIOBuffer(), reader = buffer.allocReader()
      buffer.write('abc')
      const view = reader.borrow()
      view[0] = 0x78
      console.log(reader.read().toString())`
    expect(await runChild(script, { env: { NETVC_DEBUG: 'borrow' } })).toEqual({
      ...endsWell,
      stdout: 'abc\n',
    })
    expect(await runChild(script)).toEqual({ ...endsWell, stdout: 'xbc\n' })
  })

  test('consume: exactly what is there, and not one more (BUF-4)', () => {
    const reader = box.world.filled(pattern(500), { blockSize: 128 })
    reader.consume(0)
    reader.consume(499)
    expect(() => reader.consume(2)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    expect(reader.read().equals(pattern(1, 499))).toBe(true)
  })

  test('indexOf finds a byte from an offset within n, over blocks (BUF-5)', () => {
    const reader = box.world.filled(Buffer.from(`${'a'.repeat(300)}\n${'b'.repeat(300)}\n`), {
      blockSize: 128,
    })
    expect(reader.indexOf(10)).toBe(300)
    expect(reader.indexOf(10, Infinity, 301)).toBe(601)
    expect(reader.indexOf(10, 300)).toBe(-1)
    expect(reader.indexOf(10, 301)).toBe(300)
    expect(reader.indexOf(0x78)).toBe(-1)
    expect([
      reader.indexOf(10, 0),
      reader.indexOf(10, 5, 602),
      reader.indexOf(10, Infinity, Infinity),
    ]).toEqual([-1, -1, -1])
    reader.consume(100)
    expect(reader.indexOf(10)).toBe(200)
  })

  test('sizeLimit caps readAvail and falls with consume (BUF-4)', () => {
    const reader = box.world.filled(pattern(1000))
    expect(reader.sizeLimit).toBe(Infinity)
    reader.sizeLimit = 100
    expect(reader.readAvail).toBe(100)
    reader.consume(40)
    expect([reader.sizeLimit, reader.readAvail]).toEqual([60, 60])
    expect(reader.read().length).toBe(60)
    expect([reader.sizeLimit, reader.readAvail]).toEqual([0, 0])
    reader.sizeLimit = Infinity
    expect(reader.readAvail).toBe(900)
  })

  test('clone starts at the same byte with the same limit (BUF-3)', () => {
    const reader = box.world.filled(pattern(1000))
    reader.consume(10)
    reader.sizeLimit = 50
    const clone = reader.clone()
    expect([clone.readAvail, clone.sizeLimit]).toEqual([50, 50])
    reader.consume(50)
    expect(clone.read().equals(pattern(50, 10))).toBe(true)
    expect(clone.buffer).toBe(reader.buffer)
  })

  test('after dealloc every call is ERR_READER_CLOSED (BUF-3)', async () => {
    const { world } = box
    const [buffer, reader] = world.pipe()
    reader.dealloc()
    const [vc] = await world.pair()
    const calls: (() => unknown)[] = [
      () => reader.readAvail,
      () => reader.read(),
      () => reader.peek(Buffer.alloc(1)),
      () => reader.borrow(),
      () => reader.consume(0),
      () => reader.indexOf(1),
      () => reader.sizeLimit,
      () => (reader.sizeLimit = 5),
      () => reader.clone(),
      () => reader.dealloc(),
      () => world.buffer().writeFrom(reader),
      () => vc.doIoWrite(() => {}, 1, reader),
    ]
    for (const call of calls) {
      expect(call, String(call)).toThrow(expect.objectContaining({ code: 'ERR_READER_CLOSED' }))
    }
    expect(buffer.readerCount).toBe(0)
  })
})
