import { tunnel, VCEvent } from 'netvc'
import { describe, expect, test } from 'vitest'
import { transports } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { useWorld } from '../support/fixture.js'
import { pattern, random, seeds } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'
import { ends, join, readSlowly, received, send } from './join.js'

describe('bytes through a tunnel', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(transports))(
      '%s: every byte, both ways at once, and both ends are told (INV-4, INV-31)',
      async (_, address) => {
        const { client, front, back, server, tunnel: t } = await join(box.world, { address })
        const atServer = box.world.check(server)
        const atClient = box.world.check(client)
        const next = random(7)
        await Promise.all([send(client, 1_000_000, next), send(server, 700_000, next)])
        client.doIoShutdown('write')
        server.doIoShutdown('write')
        expect(await t.closed).toEqual({
          reason: 'eos',
          error: undefined,
          aToB: 1_000_000,
          bToA: 700_000,
        })
        expect([await atServer.recorder.end(), await atClient.recorder.end()]).toEqual([
          'EOS',
          'EOS',
        ])
        expect([atServer.stream.count, atClient.stream.count]).toEqual([1_000_000, 700_000])
        expect([front.closed, back.closed, t.aToB, t.bToA]).toEqual([
          true,
          true,
          1_000_000,
          700_000,
        ])
      },
    )

    test.each(seeds(1))('64 MiB in random chunks, seed %i (INV-4)', async (seed) => {
      const total = 64 * 1024 * 1024
      const next = random(seed)
      const { client, server, tunnel: t } = await join(box.world)
      const atServer = box.world.check(server)
      const atClient = box.world.check(client)
      await Promise.all([send(client, total, next), send(server, 1_000_000, next)])
      client.doIoShutdown('write')
      server.doIoShutdown('write')
      const { reason, aToB, bToA } = await t.closed
      expect({ reason, aToB, bToA }).toEqual({ reason: 'eos', aToB: total, bToA: 1_000_000 })
      expect(await atServer.recorder.end()).toBe('EOS')
      expect(await atClient.recorder.end()).toBe('EOS')
      expect([atServer.stream.count, atClient.stream.count]).toEqual([total, 1_000_000])
    })

    test.each([
      { blockSize: 128, waterMark: 0 },
      { blockSize: 128, waterMark: 1 },
      { blockSize: 4096, waterMark: 100 },
      { blockSize: 2 * 1024 * 1024, waterMark: 1024 * 1024 },
    ])(
      'blocks of $blockSize, water mark $waterMark: the same bytes (INV-4, BUF-9)',
      async (options) => {
        const { client, server, tunnel: t } = await join(box.world, { tunnel: options })
        const atServer = box.world.check(server)
        await send(client, 200_000, random(3))
        client.doIoShutdown('write')
        server.doIoShutdown('write')
        expect((await t.closed).aToB).toBe(200_000)
        expect(await atServer.recorder.end()).toBe('EOS')
        expect(atServer.stream.count).toBe(200_000)
      },
    )

    test('bytes that were looked at before go on ahead of the rest (TUNNEL, INV-9)', async () => {
      const { world } = box
      const { client, front, back, server } = await ends(world)
      const atServer = world.check(server)
      const atClient = world.check(client)
      const [buffer, reader] = world.pipe()
      client.write(pattern(50_000))
      client.doIoShutdown('write')
      let peeked = 0
      const t = await new Promise<ReturnType<typeof tunnel>>((resolve) => {
        const recorder = new Recorder((event) => {
          expect(VCEvent[event]).toBe('READ_COMPLETE')
          const header = reader.read()
          peeked = header.length
          back.write(header)
          resolve(tunnel(front, back))
        })
        front.doIoRead(recorder.handler, 10, buffer)
      })
      server.write(pattern(3000))
      server.doIoShutdown('write')
      const result = await t.closed
      expect(peeked).toBe(10)
      expect(result).toEqual({ reason: 'eos', error: undefined, aToB: 49_990, bToA: 3000 })
      expect(await atServer.recorder.end()).toBe('EOS')
      expect(await atClient.recorder.end()).toBe('EOS')
      expect([atServer.stream.count, atClient.stream.count]).toEqual([50_000, 3000])
    })

    test('large messages given to write() leave before what the tunnel brings (INV-9)', async () => {
      const { world } = box
      const { client, front, back, server } = await ends(world)
      const before = 3 * 1024 * 1024
      for (let at = 0; at < before; at += 65_536) back.write(pattern(65_536, at))
      const t = tunnel(front, back)
      client.write(pattern(1000, before))
      client.doIoShutdown('write')
      server.doIoShutdown('write')
      const atServer = world.check(server)
      expect((await t.closed).reason).toBe('eos')
      expect(await atServer.recorder.end()).toBe('EOS')
      expect(atServer.stream.count).toBe(before + 1000)
    })

    test('a slow reader holds its sender back: memory stays bounded (BUF-9, AD-4)', async () => {
      const { world } = box
      const total = 16 * 1024 * 1024
      const size = 64 * 1024
      const { client, server, tunnel: t } = await join(world)
      const before = world.reactor.stats().blockBytes
      let most = 0
      const slow = readSlowly(world, server, size, total, () => {
        most = Math.max(most, world.reactor.stats().blockBytes - before)
      })
      await send(client, total, random(5))
      expect(await slow).toBe(total)
      expect(most).toBeGreaterThan(0)
      expect(most).toBeLessThan(2 * 1024 * 1024)
      t.close()
      await t.closed
    })

    test('aToB and bToA grow while it runs', async () => {
      const { client, server, tunnel: t } = await join(box.world)
      expect([t.aToB, t.bToA]).toEqual([0, 0])
      client.write(pattern(100))
      await received(box.world.check(server), 100)
      expect(t.aToB).toBeLessThanOrEqual(100)
      server.write(pattern(20))
      await received(box.world.check(client), 20)
      client.doIoShutdown('write')
      server.doIoShutdown('write')
      await t.closed
      expect([t.aToB, t.bToA]).toEqual([100, 20])
    })
  })
})
