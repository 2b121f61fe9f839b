import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { Duplex, PassThrough } from 'node:stream'
import { tunnel } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

const size = 1 << 20
/** The most that a default MIOBuffer holds: two marks and a block. */
const held = 160 * 1024
const code = (code: string) => expect.objectContaining({ code }) as Error

/** A Duplex whose other side is the test: what is written to it, and what it is to give. */
class Wire extends Duplex {
  readonly written: Buffer[] = []
  readonly callbacks: (() => void)[] = []
  /** Does not take what is written. */
  stuck = false
  asked = 0

  get text(): string {
    return Buffer.concat(this.written).toString()
  }
  give(bytes: Uint8Array | string): void {
    this.push(bytes)
  }
  giveEnd(): void {
    this.push(null)
  }
  override _read(): void {
    this.asked++
  }
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.written.push(chunk)
    if (this.stuck) this.callbacks.push(done)
    else done()
  }
}

describe('Reactor.fromStream', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('bytes, and half-close, both ways', async () => {
      const { world } = box
      for (const first of ['stream', 'connection']) {
        const wire = new Wire()
        const vc = world.reactor.fromStream(wire)
        const finished = once(wire, 'finish')
        const { stream, recorder } = world.check(vc)
        const endStream = async () => {
          for (let at = 0; at < 50_000; at += 1000) wire.give(pattern(1000, at))
          wire.giveEnd()
          expect(await recorder.end()).toBe('EOS')
          expect(stream.count).toBe(50_000)
        }
        const endConnection = async () => {
          for (let at = 0; at < 50_000; at += 1000) vc.write(pattern(1000, at))
          vc.doIoShutdown('write')
          await finished
          expect(Buffer.concat(wire.written).equals(pattern(50_000))).toBe(true)
        }
        if (first === 'stream') await endStream()
        await endConnection()
        if (first === 'connection') await endStream()
        expect(vc.closed).toBe(false)
        vc.doIoClose()
        await eventually(() => wire.destroyed, 'destroyed')
        expect(wire.errored).toBeNull()
      }
    })

    test('a socket of node:net: an echo through it', async () => {
      const { world } = box
      const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as { port: number }
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      const vc = world.reactor.fromStream(socket)
      const { stream, recorder } = world.check(vc)
      for (let at = 0; at < size; at += 1 << 16) vc.write(pattern(1 << 16, at))
      vc.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(size)
      vc.doIoClose()
      if (!socket.destroyed) await once(socket, 'close')
      server.close()
    })

    test('a tunnel joins it to a socket', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const through = new PassThrough()
      const joined = tunnel(server, world.reactor.fromStream(through))
      const { stream, recorder } = world.check(client)
      void client
        .write(pattern(size), { completion: true })
        .then(() => client.doIoShutdown('write'))
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(size)
      client.doIoClose()
      expect(await joined.closed).toMatchObject({ reason: 'eos', aToB: size, bToA: size })
    })

    test('a stream that does not take bytes holds the writer back', async () => {
      const { world } = box
      const wire = new Wire({ highWaterMark: 10_000 })
      wire.stuck = true
      const vc = world.reactor.fromStream(wire)
      vc.setWriteMarks(1 << 20)
      let sent = 0
      let more = true
      for (; more; sent += 10_000) more = vc.write(pattern(10_000, sent))
      let drained = false
      const draining = vc.drained().then(() => (drained = true))
      await eventually(() => wire.written.length === 1, 'the first chunk')
      await settled(world.reactor)
      expect(drained).toBe(false)
      // The core, the buffer that is read into, and one chunk of what was in that.
      expect(sent - vc.writableLength).toBeLessThanOrEqual(32 * 1024 + 2 * held)
      expect(wire.written.length).toBe(1)
      vc.doIoShutdown('write')
      const finished = once(wire, 'finish')
      wire.stuck = false
      for (const done of wire.callbacks.splice(0)) done()
      await finished
      await draining
      expect(Buffer.concat(wire.written).equals(pattern(sent))).toBe(true)
      wire.giveEnd()
    })

    test('while nobody reads the connection, the stream is not read', async () => {
      const { world } = box
      const wire = new Wire({ highWaterMark: 10_000 })
      const vc = world.reactor.fromStream(wire)
      let given = 0
      let quiet = 0
      // What the pair and its buffers take, and what the stream keeps then.
      while (quiet < 20) {
        const { asked } = wire
        if (wire.readableLength < 10_000) {
          wire.give(pattern(5000, given))
          given += 5000
          quiet = 0
        } else {
          quiet++
        }
        await settled(world.reactor)
        if (wire.asked !== asked) quiet = 0
      }
      expect(given).toBeLessThanOrEqual(10_000 + 5000 + 64 * 1024 + 10_000 + 32 * 1024)
      wire.giveEnd()
      const { stream, recorder } = world.check(vc)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(given)
    })

    test('an error of the stream fails the connection, with its code', async () => {
      const { world } = box
      const wire = new Wire()
      const vc = world.reactor.fromStream(wire)
      const { recorder } = world.check(vc)
      const told = new Promise<Error>((resolve) => vc.onFailed(resolve))
      wire.destroy(Object.assign(new Error('no more'), { code: 'E_MINE' }))
      expect(await recorder.end()).toBe('ERROR')
      expect(vc.error).toMatchObject({ code: 'E_MINE', message: 'no more' })
      expect(await told).toMatchObject({ code: 'E_MINE' })
      vc.doIoClose()
    })

    test('destroyed before its end: ECONNRESET', async () => {
      const { world } = box
      const wire = new Wire()
      const vc = world.reactor.fromStream(wire)
      const { recorder } = world.check(vc)
      wire.destroy()
      expect(await recorder.end()).toBe('ERROR')
      expect(vc.error).toMatchObject({ code: 'ECONNRESET' })
    })

    test('destroyed after its end: what it gave is there, writing fails', async () => {
      const { world } = box
      const wire = new Wire()
      const vc = world.reactor.fromStream(wire)
      wire.on('end', () => wire.destroy())
      wire.give(pattern(1000))
      wire.giveEnd()
      await once(wire, 'close')
      const { stream, recorder } = world.check(vc)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(1000)
      await expect(vc.write('x', { completion: true })).rejects.toThrow()
    })

    test('doIoClose(): what was written before arrives, then the stream is destroyed', async () => {
      const { world } = box
      const wire = new Wire()
      const vc = world.reactor.fromStream(wire)
      wire.give('unread')
      const closed = once(wire, 'close')
      vc.write('hello')
      vc.doIoClose()
      await closed
      expect(wire.text).toBe('hello')
      expect(wire.writableFinished).toBe(true)
      expect(wire.errored).toBeNull()
    })

    test.each(['closeWithReset', 'setFailed'] as const)(
      '%s destroys the stream with an error',
      async (how) => {
        const { world } = box
        const wire = new Wire()
        const vc = world.reactor.fromStream(wire)
        const error = once(wire, 'error')
        await turn()
        vc[how]()
        expect(await error).toEqual([code(how === 'setFailed' ? 'EFAILEDSOCKET' : 'ECONNRESET')])
        expect(wire.destroyed).toBe(true)
        vc.doIoClose()
      },
    )

    test('doIoShutdown("read"): the stream goes nowhere up to its end; writing goes on', async () => {
      const { world } = box
      const wire = new Wire()
      const vc = world.reactor.fromStream(wire)
      vc.doIoShutdown('read')
      const ended = once(wire, 'end')
      for (let at = 0; at < size; at += 1 << 16) {
        wire.give(pattern(1 << 16, at))
        await settled(world.reactor)
      }
      wire.giveEnd()
      await ended
      const finished = once(wire, 'finish')
      vc.write('hello')
      vc.doIoShutdown('write')
      await finished
      expect(wire.text).toBe('hello')
    })

    test('one whose end was read, or which was ended, before', async () => {
      const { world } = box
      const ended = new Wire()
      ended.giveEnd()
      ended.resume()
      await once(ended, 'end')
      const reading = world.reactor.fromStream(ended)
      expect(await world.check(reading).recorder.end()).toBe('EOS')
      const finished = new Wire()
      finished.end()
      await once(finished, 'finish')
      const writing = world.reactor.fromStream(finished)
      finished.give(pattern(10))
      finished.giveEnd()
      const { stream, recorder } = world.check(writing)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(10)
    })

    test('strings of a stream with an encoding are its bytes', async () => {
      const { world } = box
      const wire = new Wire()
      wire.setEncoding('latin1')
      const vc = world.reactor.fromStream(wire)
      const { stream, recorder } = world.check(vc)
      wire.give(pattern(1000))
      wire.giveEnd()
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(1000)
    })

    test('reactor.close() destroys the stream', async () => {
      const { world } = box
      const idle = new Wire()
      const stuck = new Wire({ highWaterMark: 1 })
      stuck.stuck = true
      const vcs = [idle, stuck].map((wire) => world.reactor.fromStream(wire))
      for (const vc of vcs) vc.write('hello')
      await eventually(() => stuck.written.length === 1, 'the first byte')
      await world.reactor.close()
      await eventually(() => idle.destroyed && stuck.destroyed, 'destroyed')
      idle.give('late')
    })

    test('nothing is left: connections, buffers, listeners of the stream', async () => {
      const { world } = box
      const before = world.reactor.stats()
      const wires = Array.from({ length: 50 }, () => new Wire())
      const vcs = wires.map((wire) => world.reactor.fromStream(wire))
      const loops = vcs.map(async (vc, i) => {
        let bytes = 0
        for await (const chunk of vc) bytes += chunk.length
        expect(bytes).toBe(i * 100)
        vc.doIoClose()
      })
      for (const [i, wire] of wires.entries()) {
        wire.give(pattern(i * 100))
        wire.giveEnd()
      }
      await Promise.all(loops)
      await eventually(() => wires.every((wire) => wire.destroyed), 'destroyed')
      await eventually(
        () => world.reactor.stats().connections <= before.connections,
        'connections are gone',
      )
      expect(world.reactor.stats().buffers).toBeLessThanOrEqual(before.buffers)
    })

    test.each([
      ['nothing', undefined, 'ERR_INVALID_ARG_TYPE'],
      ['an object', {}, 'ERR_INVALID_ARG_TYPE'],
      ['a text', 'stream', 'ERR_INVALID_ARG_TYPE'],
      ['object mode', new Wire({ objectMode: true }), 'ERR_INVALID_ARG_VALUE'],
      ['half of it', new Wire({ readableObjectMode: true }), 'ERR_INVALID_ARG_VALUE'],
      ['the other', new Wire({ writableObjectMode: true }), 'ERR_INVALID_ARG_VALUE'],
      ['a destroyed one', new Wire().destroy(), 'ERR_STREAM_DESTROYED'],
    ])('%s is refused', (_, duplex, expected) => {
      const { connections } = box.world.reactor.stats()
      expect(() => box.world.reactor.fromStream(duplex as never)).toThrow(code(expected))
      expect(box.world.reactor.stats().connections).toBe(connections)
    })
  })
})

/** Every net thread has done what it was asked before, and this one has heard of it. */
async function settled(reactor: { connections(): unknown }): Promise<void> {
  for (let i = 0; i < 3; i++) {
    reactor.connections()
    await turn()
  }
}
