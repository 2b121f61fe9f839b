import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { Reactor, tunnel, VCHandle, writeMany, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { ended } from '../lifecycle/netvc-worker.js'
import { unixAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld, type World } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { startWriter } from '../support/writer-worker.js'
import { code, filled } from './told.js'

const handleOf = (vc: VCHandle) => new VCHandle(vc.slot, vc.version)

/** So many connections, and how far each of their peers has read the pattern. */
async function many(world: World, n: number) {
  const accepted: VConnection[] = []
  const listener = await world.reactor.listen(unixAddress(), (vc) => void accepted.push(vc))
  const peers = await Promise.all(
    Array.from({ length: n }, () => world.reactor.connect(listener.addresses[0])),
  )
  await eventually(() => accepted.length === n, 'accepted')
  return { peers, accepted, streams: () => peers.map((vc) => world.check(vc).stream) }
}

const all = (streams: PatternChecker[], bytes: number) =>
  eventually(() => streams.every((s) => s.count === bytes), 'everybody has everything')

describe('writeMany()', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('1000 connections, messages small and large: each gets every byte in order (SW-9)', async () => {
      const { world } = box
      const { accepted, streams } = await many(world, 1000)
      const checked = streams()
      let at = 0
      for (const size of [1, 10, 255, 256, 4096, 4097, 30_000, 1, 70_000]) {
        const targets = accepted.map((vc, i) => [vc, handleOf(vc), vc.id][i % 3])
        expect(writeMany(targets, pattern(size, at))).toEqual({ accepted: 1000, refused: [] })
        at += size
      }
      await all(checked, at)
    })

    test('to peers that are held back: one block, referenced, not copied', async () => {
      const { world } = box
      const { accepted, streams } = await many(world, 200)
      // Fills every socket: from here on nothing leaves at once.
      const size = 1 << 20
      expect(writeMany(accepted, pattern(size)).accepted).toBe(200)
      const full = () => accepted.every((vc) => vc.inspect()?.write.triggered === false)
      await eventually(full, 'the kernel is full')
      const before = world.reactor.stats()
      const waiting = accepted.map((vc) => vc.writableLength)
      const more = 200_000
      for (let i = 0; i < 5; i++) {
        expect(writeMany(accepted, pattern(more, size + i * more)).accepted).toBe(200)
      }
      expect(accepted.map((vc, i) => vc.writableLength - waiting[i])).toEqual(
        accepted.map(() => 5 * more),
      )
      const after = world.reactor.stats()
      expect(after.blocks - before.blocks).toBeLessThanOrEqual(5)
      expect(after.blockBytes - before.blockBytes).toBeLessThanOrEqual(5 * (1 << 18))
      await all(streams(), size + 5 * more)
    })

    test('the caller may change its buffer at once', async () => {
      const { world } = box
      const { accepted, streams } = await many(world, 50)
      const checked = streams()
      const buffer = Buffer.alloc(100_000)
      for (let i = 0; i < 20; i++) {
        pattern(buffer.length, i * buffer.length).copy(buffer)
        expect(writeMany(accepted, buffer).accepted).toBe(50)
        buffer.fill(0)
      }
      await all(checked, 2_000_000)
    })

    test('behind and ahead of write(), with and without options (SW-9)', async () => {
      const { world } = box
      const { accepted, streams } = await many(world, 20)
      const checked = streams()
      let at = 0
      const next = (n: number) => pattern(n, (at += n) - n)
      for (let round = 0; round < 50; round++) {
        const [a, b, c] = [next(1 + round), next(300 + round), next(5000 + round)]
        for (const vc of accepted) vc.write(a)
        writeMany(accepted, b)
        for (const vc of accepted) vc.write(c, {})
      }
      await all(checked, at)
    })

    test('who refuses is told with the reason, the others get it (SW-1)', async () => {
      const { world } = box
      const { accepted, streams } = await many(world, 6)
      const [open, closed, failed, shut, crowded, last] = accepted
      // Of their own: what they are asked with below arrives, and is not counted.
      const [, tunneled] = await world.pair()
      const [, other] = await world.pair()
      const full = await filled(world)
      full.client.maxUnwritten = 1
      crowded.maxUnwritten = 0
      closed.doIoClose()
      failed.doIoRead(() => {}, Infinity, world.buffer())
      failed.setFailed(Object.assign(new Error('mine'), { code: 'ERR_OF_MINE' }))
      shut.doIoShutdown('write')
      tunnel(tunneled, other)
      const targets = [
        open,
        closed,
        failed.id,
        handleOf(shut),
        tunneled,
        crowded,
        full.client,
        last,
        7n,
      ]
      if (threads) await eventually(() => handleOf(closed).closed, 'known to the net thread')
      shut.inspect() // waits a turn of its thread, which knows it then
      await eventually(
        () => code(() => handleOf(tunneled).write('?')) === 'ERR_VC_TUNNELED',
        'tunneled',
      )
      const { accepted: count, refused } = writeMany(targets, pattern(500))
      expect(refused.map(({ id, error }) => [id, error.code])).toEqual([
        [closed.id, 'ERR_VC_CLOSED'],
        [failed.id, 'ERR_OF_MINE'],
        [shut.id, 'ERR_VC_SHUT'],
        [tunneled.id, 'ERR_VC_TUNNELED'],
        [crowded.id, 'EOVERCROWDED'],
        [full.client.id, 'EOVERCROWDED'],
        [7n, 'ERR_VC_CLOSED'],
      ])
      expect(count).toBe(2)
      const checked = streams()
      await eventually(() => checked.filter((s) => s.count === 500).length === 2, 'two get it')
      expect(checked.filter((s) => s.count > 0).length).toBe(2)
    })

    test('one that is there twice gets it twice; nobody, and nothing', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream } = world.check(server)
      const half = pattern(65_521) // a period of the pattern
      const list = [client, client.id, handleOf(client), client]
      expect(writeMany(list, half).accepted).toBe(4)
      expect(writeMany(new Set([client, client]), half).accepted).toBe(1)
      await all([stream], 5 * 65_521)
      expect(writeMany([], 'x')).toEqual({ accepted: 0, refused: [] })
      const { accepted, refused } = writeMany([client], '')
      expect([accepted, refused[0].error.code]).toEqual([0, 'EINVAL'])
      expect(writeMany([client, 1n << 80n, -1n], 'x').accepted).toBe(1)
    })

    test('any iterable, text as UTF-8', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      server.doIoRead(() => {}, Infinity, buffer)
      function* one() {
        yield client.id
      }
      expect(writeMany(one(), 'hé').accepted).toBe(1)
      await eventually(() => reader.readAvail === 3, 'it arrives')
      expect(reader.read().toString()).toBe('hé')
    })

    test('wrong arguments: nothing leaves', async () => {
      const [client] = await box.world.pair()
      const wrong: [unknown, unknown][] = [
        [client, 'x'],
        [null, 'x'],
        [undefined, 'x'],
        [5, 'x'],
        [[client, 5], 'x'],
        [[client, null], 'x'],
        [[client, '1'], 'x'],
        [[client, {}], 'x'],
        [[client], 5],
        [[client], null],
        [[client], ['x']],
        [[client], [1, 2]],
      ]
      for (const [targets, data] of wrong) {
        expect(code(() => writeMany(targets as never, data as never))).toBe('ERR_INVALID_ARG_TYPE')
      }
      expect(client.inspect()?.bytesOut).toBe(0)
    })

    test('by ids from a worker, beside this thread (SW-9)', async () => {
      const { world } = box
      const { accepted, streams } = await many(world, 300)
      const checked = streams()
      const worker = startWriter(
        `for (let i = 0; i < 20; i++) {
           const from = i * 10_000
           const { accepted, refused } = writeMany(workerData.ids, workerData.bytes.subarray(from, from + 10_000))
           if (accepted !== 300) throw refused[0].error
         }
         const none = writeMany(workerData.ids.map((n) => n + (1n << 40n)), 'x')
         tell([none.accepted, none.refused.length])`,
        { id: 0n, ids: accepted.map((vc) => vc.id), bytes: pattern(200_000) },
      )
      expect(await ended(worker)).toEqual({ code: 0, told: [[0, 300]] })
      await all(checked, 200_000)
      expect(writeMany(accepted, pattern(1000, 200_000)).accepted).toBe(300)
      await all(checked, 201_000)
    })
  })
})

test('peers of node:net, some that leave meanwhile: the others get all', async () => {
  const reactor = new Reactor({ threads: 2 })
  const sockets: Socket[] = []
  const received = new Map<Socket, PatternChecker>()
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => {}))
    const checker = new PatternChecker()
    received.set(socket, checker)
    socket.on('data', (bytes: Buffer) => checker.take(bytes))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const to = `tcp://127.0.0.1:${String(port)}`
  const vcs: VConnection[] = []
  for (let i = 0; i < 100; i++) vcs.push(await reactor.connect(to))
  await eventually(() => sockets.length === 100, 'accepted')
  const ids = vcs.map((vc) => vc.id)
  let at = 0
  for (let i = 0; i < 50; i++) {
    const { accepted, refused } = writeMany(ids, pattern(20_000, at))
    for (const { error } of refused) {
      expect(error.code).toMatch(/^(ERR_VC_CLOSED|EPIPE|ECONNRESET)$/)
    }
    expect(accepted).toBeGreaterThanOrEqual(50)
    at += 20_000
    sockets[i].destroy()
    await turn()
  }
  await eventually(() => sockets.slice(50).every((s) => received.get(s)!.count === at), 'all')
  server.close()
  for (const socket of sockets) socket.destroy()
  await reactor.close()
})
