import { NetvcError, VCEvent } from 'netvc'
import { describe, expect, test } from 'vitest'
import { transports, unixAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { integerBelow, pattern, random, seeds } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

const mark = 256 * 1024

describe('write()', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(transports))(
      '%s: small and large messages keep their order (INV-9)',
      async (_, address) => {
        const { world } = box
        const [client, server] = await world.pair(address())
        const { stream, recorder } = world.check(server)
        const next = random(7)
        let at = 0
        for (let i = 0; i < 300; i++) {
          const n = [1, 100, 4096, 4097, 70_000][integerBelow(next, 5)]
          client.write(pattern(n, at))
          at += n
          if (integerBelow(next, 20) === 0) await turn()
        }
        client.doIoClose()
        expect(await recorder.end()).toBe('EOS')
        expect(stream.count).toBe(at)
      },
    )

    test('a string is sent as UTF-8, an empty message is nothing', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      expect(client.write('')).toBe(true)
      expect(client.write(new Uint8Array(0))).toBe(true)
      expect(client.write('grüß €')).toBe(true)
      const [buffer, reader] = world.pipe()
      const n = Buffer.byteLength('grüß €')
      const recorder = new Recorder()
      server.doIoRead(recorder.handler, n, buffer)
      await recorder.end()
      expect(reader.read().toString()).toBe('grüß €')
    })

    test('the bytes may be changed after write() has returned', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream, recorder } = world.check(server, 40_000 + 3 * 4097 + 10)
      let at = 0
      for (const n of [10, 4097, 40_000, 4097, 4097]) {
        const bytes = pattern(n, at)
        client.write(bytes)
        bytes.fill(0)
        at += n
      }
      expect(await recorder.end()).toBe('READ_COMPLETE')
      expect(stream.count).toBe(at)
    })

    test('messages go ahead of bytes of a write operation that were not sent (write, doIoWrite)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const writer = new Recorder()
      // In one turn: the operation is armed, but the messages leave first.
      client.write(pattern(10_000))
      client.doIoWrite(writer.handler, 5000, world.filled(pattern(5000, 10_000)))
      const { stream, recorder } = world.check(server, 15_000)
      expect(await recorder.end()).toBe('READ_COMPLETE')
      expect(stream.count).toBe(15_000)
    })

    test('a message never lands inside the bytes of another (INV-9)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      // Records: a letter, then its repetition count times that letter.
      const records = new Map<string, number>()
      const read = new Recorder(() => {
        for (const c of reader.read().toString()) records.set(c, (records.get(c) ?? 0) + 1)
      })
      server.doIoRead(read.handler, Infinity, buffer)
      for (const c of 'abcdefghij') client.write(c.repeat(1000))
      client.doIoWrite(() => {}, 1000, world.filled(Buffer.from('z'.repeat(1000))))
      for (const c of 'klmnop') client.write(c.repeat(5000))
      await eventually(() => (records.get('p') ?? 0) === 5000 && records.get('z') === 1000, 'all')
      expect(records.get('a')).toBe(1000)
    })

    test('answers false above 256 KiB for small and large messages, drained() resolves below half', async () => {
      const { world } = box
      const [client, server] = await world.pair(unixAddress())
      const sizes = [100, 50_000]
      let at = 0
      for (const n of sizes) {
        // Until there still is too much when the kernel has taken its part.
        do {
          for (let more = true; more; at += n) more = client.write(pattern(n, at))
          await eventually(
            () => client.inspect()?.write.triggered === false || client.writableLength === 0,
            'the kernel is full, or has it all',
          )
        } while (client.writableLength <= mark)
        expect(client.write(pattern(n, at))).toBe(false)
        at += n
      }
      let drained = false
      const promise = client.drained().then(() => (drained = true))
      expect(client.drained()).toBe(client.drained())
      await turn()
      expect(drained).toBe(false)
      const { stream } = world.check(server)
      await promise
      expect(client.writableLength).toBeLessThanOrEqual(mark / 2)
      expect(client.write(pattern(1, at))).toBe(true)
      await eventually(() => stream.count === at + 1, 'all arrives')
    })

    test('drained() resolves at once when nothing waits, also called from a timer', async () => {
      const [client] = await box.world.pair()
      await client.drained()
      await new Promise((resolve) => setTimeout(resolve, 2))
      await client.drained()
    })

    test('drained() rejects when the connection is closed before', async () => {
      const { world } = box
      const [client] = await world.pair()
      while (client.write(pattern(65536)));
      const promise = client.drained()
      client.doIoClose(1)
      await expect(promise).rejects.toMatchObject({ code: 'ERR_VC_CLOSED' })
      await expect(client.drained()).rejects.toMatchObject({ code: 'ERR_VC_CLOSED' })
    })

    test('a reader that never reads: EOVERCROWDED at 64 MiB, memory bounded, the rest intact', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const chunk = pattern(1 << 20)
      let accepted = 0
      let refused: unknown
      for (let i = 0; i < 200 && refused === undefined; i++) {
        try {
          client.write(chunk)
          accepted++
        } catch (error) {
          refused = error
        }
      }
      expect(refused).toBeInstanceOf(NetvcError)
      expect(refused).toMatchObject({ code: 'EOVERCROWDED' })
      expect(client.writableLength).toBeLessThanOrEqual(65 << 20)
      expect(client.writableLength).toBeGreaterThan(60 << 20)
      const [buffer, reader] = world.pipe()
      const recorder = new Recorder(() => reader.consume(reader.readAvail))
      server.doIoRead(recorder.handler, accepted << 20, buffer)
      expect(await recorder.end()).toBe('READ_COMPLETE')
      await client.drained()
      expect(client.write('again')).toBe(true)
    })

    test('writableLength goes to 0 when the kernel has all', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write(pattern(100_000))
      world.check(server)
      await eventually(() => client.writableLength === 0, 'nothing waits')
    })

    test('a failed connection ends drained() and tells the armed side once (INV-10)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const read = new Recorder()
      client.doIoRead(read.handler, Infinity, world.buffer())
      while (client.write(pattern(65536)));
      const promise = client.drained()
      server.doIoClose() // with unread bytes: RST
      await read.end()
      client.doIoClose()
      await promise.catch((error: unknown) =>
        expect(error).toMatchObject({
          code: expect.stringMatching(/^(ERR_VC_CLOSED|ECONNRESET|EPIPE)$/),
        }),
      )
    })

    test.each(seeds(2))('random messages on many connections at once, seed %i', async (seed) => {
      const { world } = box
      const next = random(seed)
      const pairs = await Promise.all(Array.from({ length: 8 }, () => world.pair()))
      const streams = pairs.map(([client, server]) => ({ client, at: 0, ...world.check(server) }))
      for (let i = 0; i < 400; i++) {
        const s = streams[integerBelow(next, streams.length)]
        const n = integerBelow(next, 6000)
        s.client.write(pattern(n, s.at))
        s.at += n
        if (integerBelow(next, 30) === 0) await turn()
      }
      for (const { client } of streams) client.doIoShutdown('write')
      for (const { recorder, stream, at } of streams) {
        expect(await recorder.end()).toBe('EOS')
        expect(stream.count).toBe(at)
      }
    })
  })
})

describe('write() on several reactors', () => {
  const box = useWorld(0)
  test('all messages of one turn leave, whichever reactor they belong to', async () => {
    const { world } = box
    const [a, aServer] = await world.pair()
    const other = world.another()
    let accept!: (vc: typeof a) => void
    const accepted = new Promise<typeof a>((resolve) => (accept = resolve))
    const listener = await other.listen('tcp://127.0.0.1:0', (vc) => accept(vc))
    const b = await other.connect(listener.addresses[0])
    const bServer = await accepted
    await new Promise((resolve) => setTimeout(resolve, 5))
    for (const vc of [a, b, a, b]) vc.write(pattern(1))
    const [ra, rb] = [world.pipe(), world.pipe()]
    const told = [new Recorder(), new Recorder()]
    aServer.doIoRead(told[0].handler, 2, ra[0])
    bServer.doIoRead(told[1].handler, 2, rb[0])
    expect(await told[0].end()).toBe(VCEvent[VCEvent.READ_COMPLETE])
    expect(await told[1].end()).toBe(VCEvent[VCEvent.READ_COMPLETE])
  })
})
