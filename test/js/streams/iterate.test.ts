import { tunnel, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { transports } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { full, held } from './full.js'
import { onNetThreads, useSharedWorld } from '../support/shared-world.js'

const size = 1 << 20

async function readAll(vc: VConnection, from = 0): Promise<number> {
  const stream = new PatternChecker(from)
  for await (const chunk of vc) stream.take(chunk)
  return stream.count
}

const code = (code: string) => expect.objectContaining({ code }) as Error

describe('for await over a connection', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(transports))('%s: every byte, then the end', async (_, address) => {
      const [client, server] = await box.world.pair(address())
      const sent = client.write(pattern(size), { completion: true })
      sent.then(() => client.doIoShutdown('write')).catch(() => {})
      expect(await readAll(server)).toBe(size)
      // Half-open: the other direction goes on, and a second loop ends at once.
      expect(server.closed).toBe(false)
      expect(await readAll(server)).toBe(0)
      server.write(pattern(1000))
      server.doIoShutdown('write')
      expect(await readAll(client)).toBe(1000)
      client.doIoClose()
      server.doIoClose()
    })

    test('a chunk is the consumer’s for ever', async () => {
      const [client, server] = await box.world.pair()
      client.write(pattern(400_000))
      client.doIoShutdown('write')
      const chunks: Buffer[] = []
      for await (const chunk of server) chunks.push(chunk)
      expect(Buffer.concat(chunks).equals(pattern(400_000))).toBe(true)
    })

    test('while nobody asks, what is read is bounded, and the peer held back', async () => {
      const [client, server] = await box.world.pair()
      let sent = 0
      while (client.write(pattern(100_000, sent))) sent += 100_000
      sent += 100_000
      const stream = new PatternChecker(0)
      for await (const chunk of server) {
        expect(chunk.length).toBeLessThanOrEqual(held)
        stream.take(chunk)
        if (stream.count === chunk.length) {
          expect(await full(server)).toBeLessThanOrEqual(held)
          client.doIoShutdown('write')
        }
      }
      expect(stream.count).toBe(sent)
    })

    test('break closes the connection', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write('hello')
      const { recorder } = world.check(client)
      for await (const chunk of server) {
        expect(chunk.toString()).toBe('hello')
        break
      }
      expect(server.closed).toBe(true)
      expect(server.error).toBeUndefined()
      expect(await recorder.end()).toBe('EOS')
    })

    test('an error of the body comes out, and closes the connection', async () => {
      const [client, server] = await box.world.pair()
      client.write('hello')
      const loop = async () => {
        for await (const chunk of server) throw new Error(`thrown at ${chunk.toString()}`)
      }
      await expect(loop()).rejects.toThrow('thrown at hello')
      expect(server.closed).toBe(true)
    })

    test.each([false, true])(
      'doIoClose() while it waits, or inside (%s), throws ERR_VC_CLOSED in the loop',
      async (inside) => {
        const [client, server] = await box.world.pair()
        client.write('hello')
        let bytes = 0
        const loop = async () => {
          for await (const chunk of server) {
            bytes += chunk.length
            if (inside) server.doIoClose()
            else setImmediate(() => server.doIoClose())
          }
        }
        await expect(loop()).rejects.toThrow(code('ERR_VC_CLOSED'))
        expect(bytes).toBe(5)
      },
    )

    test('doIoShutdown("read") ends the loop', async () => {
      const [client, server] = await box.world.pair()
      client.write('hello')
      let bytes = 0
      for await (const chunk of server) {
        bytes += chunk.length
        setImmediate(() => server.doIoShutdown('read'))
      }
      expect(bytes).toBe(5)
      expect(server.closed).toBe(false)
    })

    test('a reset: the bytes first, then ECONNRESET; the connection is closed', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write(pattern(1000))
      const stream = new PatternChecker(0)
      const loop = async () => {
        for await (const chunk of server) {
          stream.take(chunk)
          if (stream.count === 1000) client.closeWithReset()
        }
      }
      await expect(loop()).rejects.toThrow(code('ECONNRESET'))
      expect(stream.count).toBe(1000)
      expect(server.closed).toBe(true)
    })

    test('setFailed() from elsewhere is thrown', async () => {
      const [, server] = await box.world.pair()
      const loop = readAll(server)
      await turn()
      server.setFailed(Object.assign(new Error('no more'), { code: 'E_MINE' }))
      await expect(loop).rejects.toThrow(code('E_MINE'))
    })

    test('a timeout is thrown, and closes the connection', async () => {
      const [, server] = await box.world.pair()
      server.setInactivityTimeout(5)
      await expect(readAll(server)).rejects.toThrow(code('ETIMEDOUT'))
      expect(server.closed).toBe(true)
    })

    test('nobody else may read: ERR_VC_READING', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const loop = readAll(server)
      await turn()
      const refused = code('ERR_VC_READING')
      expect(() => server.doIoRead(() => {}, 1, world.buffer())).toThrow(refused)
      expect(() => server.doIoRead(null, 0, null)).toThrow(refused)
      expect(() => server.readable).toThrow(refused)
      client.write(pattern(100))
      client.doIoShutdown('write')
      expect(await loop).toBe(100)
      client.doIoRead(() => {}, 1, world.buffer())
      expect(() => client[Symbol.asyncIterator]()).toThrow(refused)
      client.doIoRead(null, 0, null)
      client[Symbol.asyncIterator]()
    })

    test('tunnel() and break: the loop is over, the tunnel has every unread byte', async () => {
      const { world } = box
      const [client, middle] = await world.pair()
      const [up, server] = await world.pair()
      client.write(pattern(10))
      let joined: Promise<unknown> | undefined
      for await (const chunk of middle) {
        up.write(chunk)
        client.write(pattern(90_000, chunk.length))
        await eventually(() => middle.inspect()!.read.buffered > 0, 'unread bytes')
        joined = tunnel(middle, up).closed
        break
      }
      const { stream, recorder } = world.check(server)
      client.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(90_010)
      client.doIoClose()
      server.doIoClose()
      await joined
    })

    test('a tunnel that comes without a break: ERR_VC_TUNNELED, and it goes on', async () => {
      const { world } = box
      const [client, middle] = await world.pair()
      const [up, server] = await world.pair()
      const loop = readAll(middle)
      await turn()
      tunnel(middle, up)
      await expect(loop).rejects.toThrow(code('ERR_VC_TUNNELED'))
      client.write(pattern(100))
      client.doIoShutdown('write')
      const { stream, recorder } = world.check(server)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(100)
    })

    test('migrate() inside the body loses no byte', async () => {
      const [client, server] = await box.world.pair()
      client.write(pattern(200_000))
      client.doIoShutdown('write')
      const stream = new PatternChecker(0)
      for await (const chunk of server) {
        stream.take(chunk)
        if (stream.count === chunk.length) await server.migrate(threads && 1)
      }
      expect(stream.count).toBe(200_000)
    })

    test('migrate() while it waits: it goes on where the connection is then', async () => {
      const [client, server] = await box.world.pair()
      const loop = readAll(server)
      await turn()
      const moving = server.migrate(threads && 1)
      client.write(pattern(1000))
      await moving
      client.write(pattern(1000, 1000))
      client.doIoShutdown('write')
      expect(await loop).toBe(2000)
    })

    test('closed on its way to another net thread: ERR_VC_CLOSED', async () => {
      const [, server] = await box.world.pair()
      const loop = expect(readAll(server)).rejects.toThrow(code('ERR_VC_CLOSED'))
      await turn()
      const moving = server.migrate(threads && 1).catch(() => {})
      server.doIoClose()
      await Promise.all([loop, moving])
    })

    test('next() many times at once: chunks in order, then the end for all', async () => {
      const [client, server] = await box.world.pair()
      const loop = server[Symbol.asyncIterator]()
      const asked = Array.from({ length: 20 }, () => loop.next())
      for (let i = 0; i < 10; i++) {
        client.write(pattern(100, i * 100))
        await turn()
      }
      client.doIoShutdown('write')
      const stream = new PatternChecker(0)
      for (const { value } of await Promise.all(asked)) if (value) stream.take(value)
      expect(stream.count).toBe(1000)
      expect((await asked.at(-1))!.done).toBe(true)
    })

    test.runIf(threads > 0)('a next() does not get ahead of one that waits', async () => {
      const [client, server] = await box.world.pair()
      const loop = server[Symbol.asyncIterator]()
      const first = loop.next()
      client.write(pattern(10))
      // They are there, and nobody has been told yet.
      while (client.writableLength > 0 || server.inspect()!.read.buffered === 0) continue
      const second = loop.next()
      client.write(pattern(10, 10))
      expect(Buffer.from((await first).value!).equals(pattern(10))).toBe(true)
      expect(Buffer.from((await second).value!).equals(pattern(10, 10))).toBe(true)
    })

    test('return() while next() waits: both are the end', async () => {
      const [, server] = await box.world.pair()
      const loop = server[Symbol.asyncIterator]()
      const next = loop.next()
      const over = { value: undefined, done: true }
      expect(await loop.return!()).toEqual(over)
      expect(await next).toEqual(over)
      expect(await loop.next()).toEqual(over)
      expect(server.closed).toBe(true)
    })

    test('buffers are given back when the loop is over', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { buffers } = world.reactor.stats()
      client.write(pattern(1000))
      client.doIoShutdown('write')
      await readAll(server)
      server.doIoShutdown('write')
      for await (const chunk of client) void chunk
      // One of a test before may have been collected meanwhile.
      expect(world.reactor.stats().buffers).toBeLessThanOrEqual(buffers)
    })

    test('reactor.close() ends it', async () => {
      const { world } = box
      const [, server] = await world.pair()
      const loop = expect(readAll(server)).rejects.toThrow(code('ERR_VC_CLOSED'))
      await turn()
      await world.reactor.close()
      await loop
    })
  })
})

describe('for await, and workers', () => {
  onNetThreads((threads) => {
    const box = useSharedWorld(threads)

    test('assign() and break: the worker reads on with every byte', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register(echo)')
      const [client, server] = await world.pair()
      const { stream, recorder } = world.check(client)
      client.write(pattern(10))
      for await (const chunk of server) {
        server.write(chunk)
        client.write(pattern(99_990, 10))
        await eventually(() => (server.inspect()?.read.buffered ?? 0) > 0, 'unread bytes')
        server.assign(worker.threadId)
        break
      }
      client.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(100_000)
    })

    test('without a break: ERR_VC_NOT_OWNER in the loop', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register(echo)')
      const [client, server] = await world.pair()
      const loop = readAll(server)
      await turn()
      server.assign(worker.threadId)
      await expect(loop).rejects.toThrow(code('ERR_VC_NOT_OWNER'))
      const { stream, recorder } = world.check(client)
      client.write(pattern(1000))
      client.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(1000)
    })
  })
})
