import { tunnel, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { transports } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { full, held } from './full.js'

const size = 1 << 20
/** So that the kernel takes little for a peer that does not read. */
const smallBuffers = { listen: { receiveBufferSize: 8192 }, connect: { sendBufferSize: 8192 } }
const code = (code: string) => expect.objectContaining({ code }) as Error

async function readAll(vc: VConnection, from = 0): Promise<number> {
  const stream = new PatternChecker(from)
  const reader = vc.readable.getReader()
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return stream.count
    stream.take(value)
  }
}

async function writeAll(vc: VConnection, bytes: number): Promise<void> {
  const writer = vc.writable.getWriter()
  for (let at = 0; at < bytes; at += 10_000) {
    await writer.ready
    void writer.write(pattern(Math.min(10_000, bytes - at), at))
  }
  await writer.close()
}

describe('Web streams of a connection', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(transports))('%s: every byte, both ways', async (_, address) => {
      const [client, server] = await box.world.pair(address())
      const [, , there, back] = await Promise.all([
        writeAll(client, size),
        writeAll(server, size / 2),
        readAll(server),
        readAll(client),
      ])
      expect([there, back]).toEqual([size, size / 2])
      // Both were taken, and both are through.
      await eventually(() => client.closed && server.closed, 'closed by themselves')
      expect(client.error ?? server.error).toBeUndefined()
    })

    test('made once; one alone leaves the connection open', async () => {
      const [client, server] = await box.world.pair()
      expect(server.readable).toBe(server.readable)
      expect(client.writable).toBe(client.writable)
      await writeAll(client, 100)
      expect(await readAll(server)).toBe(100)
      await turn()
      expect([client.closed, server.closed]).toEqual([false, false])
      server.write('x')
    })

    test('pipeTo: an echo that closes when its peer has ended', async () => {
      const [client, server] = await box.world.pair()
      const echo = server.readable.pipeTo(server.writable)
      const [back] = await Promise.all([readAll(client), writeAll(client, size)])
      expect(back).toBe(size)
      await echo
      expect(server.closed).toBe(true)
    })

    test('a reader brings its own buffer', async () => {
      const [client, server] = await box.world.pair()
      const reader = server.readable.getReader({ mode: 'byob' })
      const stream = new PatternChecker(0)
      let memory = new ArrayBuffer(5000)
      client.write(pattern(300_000))
      client.doIoShutdown('write')
      for (;;) {
        const { value, done } = await reader.read(new Uint8Array(memory, 1000, 4000))
        memory = value!.buffer
        if (done) break
        expect(value.byteOffset).toBe(1000)
        expect(value.length).toBeLessThanOrEqual(4000)
        stream.take(value)
      }
      expect(stream.count).toBe(300_000)
      expect(memory.byteLength).toBe(5000)
    })

    test('a view that is no Uint8Array is filled too', async () => {
      const [client, server] = await box.world.pair()
      const reader = server.readable.getReader({ mode: 'byob' })
      client.write(pattern(8))
      const { value } = await reader.read(new DataView(new ArrayBuffer(16), 4))
      expect(Buffer.from(value!.buffer, 4, 8).equals(pattern(8))).toBe(true)
    })

    test('while nobody reads, what is held is bounded; the writer is held back', async () => {
      const [client, server] = await box.world.pair()
      const { readable } = server
      const writer = client.writable.getWriter()
      const chunk = 50_000
      let sent = 0
      const stuck = () =>
        writer.desiredSize! <= 0 &&
        client.writableLength > client.writableLowWaterMark &&
        !client.inspect()!.write.triggered
      await eventually(() => {
        for (; writer.desiredSize! > 0; sent += chunk) void writer.write(pattern(chunk, sent))
        return stuck()
      }, 'the peer is held back')
      expect(writer.desiredSize).toBeGreaterThan(-chunk)
      expect(client.writableLength).toBeLessThanOrEqual(client.writableHighWaterMark + chunk)
      expect(server.inspect()!.read.armed).toBe(false) // nobody has asked yet
      const closing = writer.close()
      const reader = readable.getReader()
      const stream = new PatternChecker(0)
      stream.take((await reader.read()).value!)
      expect(await full(server)).toBeLessThanOrEqual(held)
      for (;;) {
        const { value, done } = await reader.read()
        if (done) break
        expect(value.length).toBeLessThanOrEqual(64 * 1024)
        stream.take(value)
      }
      expect(stream.count).toBe(sent)
      await closing
    })

    test('cancel() shuts the reading side; writing goes on', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write('hello')
      const reader = server.readable.getReader()
      await reader.read()
      const pending = reader.read()
      await reader.cancel('enough')
      expect(await pending).toEqual({ value: undefined, done: true })
      expect(() => server.doIoRead(() => {}, 1, world.buffer())).toThrow(code('ERR_VC_SHUT'))
      await writeAll(server, 100)
      expect(server.closed).toBe(true) // both through
      const { stream, recorder } = world.check(client)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(100)
    })

    test('close() ends the writing side behind every byte, and waits for them', async () => {
      const { world } = box
      const [client, server] = await world.pair('tcp://127.0.0.1:0', smallBuffers)
      const writer = client.writable.getWriter()
      for (let at = 0; at < size; at += 1 << 16) void writer.write(pattern(1 << 16, at))
      let closed = false
      const closing = writer.close().then(() => (closed = true))
      await turn()
      expect(closed).toBe(false) // nobody reads, and it is more than the kernel takes
      const { stream, recorder } = world.check(server)
      await closing
      expect(client.writableLength).toBe(0)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(size)
      expect(client.closed).toBe(false)
    })

    test('abort() resets', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { recorder } = world.check(server)
      const writer = client.writable.getWriter()
      await writer.write(pattern(5))
      await writer.abort(new Error('no more'))
      expect(client.closed).toBe(true)
      await recorder.end()
      expect(server.error).toMatchObject({ code: 'ECONNRESET' })
    })

    test('text is UTF-8, anything else is an error of the stream', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      server.doIoRead(() => {}, Infinity, buffer)
      const writer = client.writable.getWriter()
      await writer.write('zwölf')
      await writer.write('')
      await eventually(() => reader.readAvail === 6, 'all bytes')
      expect(reader.read().toString()).toBe('zwölf')
      await expect(writer.write(5 as never)).rejects.toThrow(code('ERR_INVALID_ARG_TYPE'))
    })

    test('a reset errors both streams, behind the bytes', async () => {
      const [client, server] = await box.world.pair()
      const writer = server.writable.getWriter()
      const over = writer.closed.catch((error: unknown) => error)
      const reader = server.readable.getReader()
      client.write(pattern(100))
      expect((await reader.read()).value!.length).toBe(100)
      client.closeWithReset()
      await expect(reader.read()).rejects.toThrow(code('ECONNRESET'))
      expect(await over).toMatchObject({ code: 'ECONNRESET' })
      expect(server.closed).toBe(true)
    })

    test('the end is told although nobody reads', async () => {
      const [client, server] = await box.world.pair()
      const reader = server.readable.getReader()
      client.write(pattern(100))
      await reader.read()
      client.doIoShutdown('write')
      await reader.closed
    })

    test('doIoClose() errors both with ERR_VC_CLOSED', async () => {
      const [client, server] = await box.world.pair()
      const reader = server.readable.getReader()
      const writer = server.writable.getWriter()
      const read = reader.read()
      await turn()
      server.doIoClose()
      await expect(read).rejects.toThrow(code('ERR_VC_CLOSED'))
      await expect(writer.write('x')).rejects.toThrow(code('ERR_VC_CLOSED'))
      client.doIoClose()
    })

    test('a write that waits is rejected when the connection fails', async () => {
      const [client, server] = await box.world.pair()
      const writer = client.writable.getWriter()
      const big = writer.write(Buffer.alloc(20 << 20))
      await turn()
      server.closeWithReset()
      await expect(big).rejects.toThrow()
      await expect(writer.closed).rejects.toThrow()
    })

    test('nobody else may read: ERR_VC_READING; closed: ERR_VC_CLOSED', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      void server.readable
      const refused = code('ERR_VC_READING')
      expect(() => server.doIoRead(() => {}, 1, world.buffer())).toThrow(refused)
      expect(() => server[Symbol.asyncIterator]()).toThrow(refused)
      client.doIoRead(() => {}, 1, world.buffer())
      expect(() => client.readable).toThrow(refused)
      const { readable } = server
      client.doIoClose()
      expect(() => client.readable).toThrow(code('ERR_VC_CLOSED'))
      expect(() => client.writable).toThrow(code('ERR_VC_CLOSED'))
      expect(server.readable).toBe(readable)
    })

    test('nor stream(), nor beside it', async () => {
      const [client, server] = await box.world.pair()
      const refused = code('ERR_VC_READING')
      const reader = server.readable.getReader()
      expect(() => server.stream()).toThrow(refused)
      client.stream().write('hello')
      expect(() => client.readable).toThrow(refused)
      expect(() => client[Symbol.asyncIterator]()).toThrow(refused)
      expect(Buffer.from((await reader.read()).value!).toString()).toBe('hello')
    })

    test('for await over the stream; break cancels it', async () => {
      const [client, server] = await box.world.pair()
      client.write('hello')
      for await (const chunk of server.readable) {
        expect(Buffer.from(chunk).toString()).toBe('hello')
        break
      }
      expect(server.closed).toBe(false)
      await writeAll(server, 10)
    })

    test('fetch’s own classes take them: Response of a readable', async () => {
      const [client, server] = await box.world.pair()
      client.write('{"a":')
      client.write('1}')
      client.doIoShutdown('write')
      const body = server.readable as unknown as ReadableStream
      expect(await new Response(body).json()).toEqual({ a: 1 })
    })

    test('a tunnel takes it over with the unread bytes', async () => {
      const { world } = box
      const [client, middle] = await world.pair()
      const [up, server] = await world.pair()
      client.write(pattern(1000))
      const reader = middle.readable.getReader({ mode: 'byob' })
      const { value } = await reader.read(new Uint8Array(10))
      expect(Buffer.from(value!).equals(pattern(10))).toBe(true)
      tunnel(middle, up)
      await expect(reader.read(new Uint8Array(10))).rejects.toThrow(code('ERR_VC_TUNNELED'))
      client.doIoShutdown('write')
      const { stream, recorder } = world.check(server, Infinity, 10)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(990)
    })
  })
})
