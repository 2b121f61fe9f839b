import { once } from 'node:events'
import { connect as netConnect, type Socket } from 'node:net'
import type { Reactor } from 'netvc'
import { VCHandle, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld, type World } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { code, told } from './told.js'

interface Subject {
  vc: VConnection
  socket: Socket
  stream: PatternChecker
  /** What the socket has heard: `end`, `close`, codes of errors. */
  events: string[]
  over: Promise<unknown>
}

/** A connection whose peer is a socket of node's own. */
async function subject(world: World, read = true): Promise<Subject> {
  let accepted!: (vc: VConnection) => void
  const server = new Promise<VConnection>((resolve) => (accepted = resolve))
  const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => accepted(vc))
  const port = Number(listener.addresses[0].split(':').at(-1))
  const socket = netConnect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const stream = new PatternChecker()
  const events: string[] = []
  if (read) socket.on('data', (bytes: Buffer) => stream.take(bytes))
  socket.on('end', () => events.push('end'))
  socket.on('error', (error: NodeJS.ErrnoException) => events.push(error.code!))
  const over = new Promise((resolve) => {
    socket.on('close', () => resolve(events.push('close')))
  })
  await once(socket, 'connect')
  return { vc: await server, socket, stream, events, over }
}

/** Sends to us what we do not read; it has arrived when this resolves. */
async function unread({ vc, socket }: Subject, bytes = 100_000): Promise<void> {
  // The peer's kernel has it all, and ours has acknowledged it, when node has written it.
  await new Promise<void>((resolve) => socket.write(Buffer.alloc(bytes), () => resolve()))
  expect(vc.inspect()?.bytesIn).toBe(0)
}

const lingering = (reactor: Reactor) => reactor.stats().lingering

describe('closeGracefully()', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each([1, 5000, 3_000_000])(
      'with unread input pending the peer gets all %i bytes and the end, no reset (B-63)',
      async (bytes) => {
        const { world } = box
        for (let i = 0; i < 10; i++) {
          const s = await subject(world)
          await unread(s)
          s.vc.write(pattern(bytes))
          s.vc.closeGracefully()
          expect(s.vc.closed).toBe(true)
          await eventually(() => s.events.length > 0, 'the end')
          expect([s.stream.count, s.events]).toEqual([bytes, ['end']])
          s.socket.end(Buffer.alloc(50_000)) // read, and dropped
          await s.over
          expect(s.events).toEqual(['end', 'close'])
        }
        await eventually(() => lingering(world.reactor) === 0, 'none lingers')
      },
    )

    test('while the peer goes on sending: it is read and dropped, without limit of bytes (B-63)', async () => {
      const { world } = box
      const s = await subject(world)
      await unread(s)
      s.vc.write(pattern(100))
      s.vc.closeGracefully()
      for (let i = 0; i < 100; i++) {
        await new Promise<void>((resolve) => s.socket.write(Buffer.alloc(100_000), () => resolve()))
      }
      expect(lingering(world.reactor)).toBe(1)
      s.socket.end()
      await s.over
      expect([s.stream.count, s.events]).toEqual([100, ['end', 'close']])
      await eventually(() => lingering(world.reactor) === 0, 'none lingers')
    })

    test('in a read handler, half read: nothing of it is told any more (CL-1)', async () => {
      const { world } = box
      const s = await subject(world)
      let calls = 0
      s.vc.doIoRead(
        () => {
          calls++
          s.vc.write(pattern(200_000))
          s.vc.closeGracefully()
        },
        Infinity,
        world.buffer({ waterMark: 1 }),
      )
      s.socket.write(Buffer.alloc(2_000_000))
      await eventually(() => s.events.length > 0, 'the end')
      expect([calls, s.stream.count, s.events]).toEqual([1, 200_000, ['end']])
      s.socket.end()
      await s.over
      expect([calls, s.events]).toEqual([1, ['end', 'close']])
    })

    test('a peer that neither reads nor ends: the limit counts, and what waits is told', async () => {
      const { world } = box
      const s = await subject(world, false)
      while (s.vc.write(pattern(100_000)));
      const late = told(s.vc, pattern(10_000_000))
      s.vc.closeGracefully(1)
      await expect(late).rejects.toMatchObject({ code: 'ERR_VC_CLOSED' })
      await eventually(() => lingering(world.reactor) === 0, 'none lingers')
      s.socket.destroy()
      // One that reads, and does not end.
      const other = await subject(world)
      const last = told(other.vc, pattern(1000))
      other.vc.closeGracefully(0)
      await Promise.allSettled([last])
      await eventually(() => lingering(world.reactor) === 0, 'none lingers, either')
      other.socket.destroy()
    })

    test('a peer that has ended before: closed when the last byte is out', async () => {
      const { world } = box
      const s = await subject(world)
      s.socket.end()
      s.vc.write(pattern(2_000_000))
      s.vc.closeGracefully()
      await s.over
      expect([s.stream.count, s.events]).toEqual([2_000_000, ['end', 'close']])
      await eventually(() => lingering(world.reactor) === 0, 'none lingers')
    })

    test('a peer that resets: it is gone, and messages are told', async () => {
      const { world } = box
      const s = await subject(world, false)
      while (s.vc.write(pattern(100_000)));
      const late = told(s.vc, pattern(10_000_000))
      s.vc.closeGracefully()
      s.socket.resetAndDestroy()
      await expect(late).rejects.toMatchObject({
        code: expect.stringMatching(/^(ECONNRESET|EPIPE|ERR_VC_CLOSED)$/),
      })
      await eventually(() => lingering(world.reactor) === 0, 'none lingers')
    })

    test('completions come, new messages are refused, onFailed says closed (SW-2)', async () => {
      const { world } = box
      const s = await subject(world)
      const all = Array.from({ length: 10 }, (_, i) => told(s.vc, pattern(50_000, i * 50_000)))
      const failures: string[] = []
      s.vc.onFailed((error) => failures.push(error.code))
      s.vc.closeGracefully()
      expect(code(() => s.vc.write('x', {}))).toBe('ERR_VC_CLOSED')
      expect(s.vc.setFailed('late')).toBe(false)
      await Promise.all(all)
      await eventually(() => s.events.length > 0, 'the end')
      s.socket.end()
      await s.over
      await eventually(() => failures.length > 0, 'told')
      expect([s.stream.count, failures, s.vc.failed]).toEqual([500_000, ['ERR_VC_CLOSED'], false])
    })

    test.each<[string, (vc: VConnection) => void]>([
      ['closeGracefully() again', (vc) => vc.closeGracefully(1)],
      ['doIoClose()', (vc) => vc.doIoClose()],
      ['doIoClose(errno)', (vc) => vc.doIoClose(5)],
      ['closeWithReset()', (vc) => vc.closeWithReset()],
      ['the same by a handle', (vc) => new VCHandle(vc.slot, vc.version).closeWithReset()],
    ])('and then %s: the first one counts', async (_, again) => {
      const { world } = box
      const s = await subject(world)
      await unread(s)
      s.vc.write(pattern(1_000_000))
      s.vc.closeGracefully()
      again(s.vc)
      await eventually(() => s.events.length > 0, 'the end')
      expect([s.stream.count, s.events]).toEqual([1_000_000, ['end']])
      s.socket.end()
      await s.over
      expect(s.events).toEqual(['end', 'close'])
    })

    test('after a close it does nothing; of what has gone, too', async () => {
      const { world } = box
      const s = await subject(world)
      const handle = new VCHandle(s.vc.slot, s.vc.version)
      s.vc.doIoClose()
      s.vc.closeGracefully()
      handle.closeGracefully()
      await eventually(() => s.events.length > 0, 'the end')
      s.socket.end()
      await s.over
      handle.closeGracefully()
      handle.closeWithReset()
      expect([s.events, lingering(world.reactor)]).toEqual([['end', 'close'], 0])
    })

    test('by a handle: the owner is told, and hears no event', async () => {
      const { world } = box
      const s = await subject(world)
      await unread(s)
      let calls = 0
      s.vc.doIoWrite(() => void calls++, Infinity, world.pipe()[1])
      await turn()
      const before = calls
      s.vc.write(pattern(100_000))
      new VCHandle(s.vc.slot, s.vc.version).closeGracefully()
      await eventually(() => s.vc.closed && s.events.length > 0, 'known')
      expect([s.stream.count, s.events]).toEqual([100_000, ['end']])
      expect(calls - before).toBeLessThanOrEqual(1)
      s.socket.end()
      await s.over
    })

    test('wrong arguments: it stays open', async () => {
      const { vc, socket } = await subject(box.world)
      for (const wrong of ['1', null, 1n, {}]) {
        expect(code(() => vc.closeGracefully(wrong as never))).toBe('ERR_INVALID_ARG_TYPE')
      }
      for (const wrong of [-1, 0.5, NaN, Infinity, 2 ** 31]) {
        expect(code(() => vc.closeGracefully(wrong))).toBe('ERR_OUT_OF_RANGE')
      }
      expect(vc.closed).toBe(false)
      socket.destroy()
    })
  })
})

describe('other ways to close, with unread input pending', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('doIoClose() makes the kernel reset: why there is a graceful one (B-63)', async () => {
      const s = await subject(box.world)
      await unread(s)
      s.vc.doIoClose()
      await eventually(() => s.events.length > 0, 'it is over')
      expect(s.events[0]).toBe('ECONNRESET')
      await s.over
    })

    test('closeWithReset(): what waits is lost, and told (CL-6)', async () => {
      const { world } = box
      const s = await subject(world)
      const late = told(s.vc, pattern(50_000_000))
      s.vc.closeWithReset()
      expect(s.vc.closed).toBe(true)
      await expect(late).rejects.toMatchObject({ code: 'ERR_VC_CLOSED' })
      await eventually(() => s.events.length > 0, 'the peer knows')
      // While bytes are in its queue node calls a reset an 'end'.
      expect(['ECONNRESET', 'end']).toContain(s.events[0])
      s.socket.destroy()
      await s.over
      expect(s.stream.count).toBeLessThan(50_000_000)
      expect(lingering(world.reactor)).toBe(0)
    })

    test('closeWithReset() of an idle one, twice, by a handle', async () => {
      const { world } = box
      for (const of of [
        (vc: VConnection) => vc,
        (vc: VConnection) => new VCHandle(vc.slot, vc.version),
      ]) {
        const s = await subject(world)
        of(s.vc).closeWithReset()
        of(s.vc).closeWithReset()
        await s.over
        expect(s.events).toEqual(['ECONNRESET', 'close'])
        await eventually(() => s.vc.closed, 'the owner knows')
      }
    })
  })
})
