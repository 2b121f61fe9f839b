import { threadId as here } from 'node:worker_threads'
import { Reactor, tunnel, VCEvent, VCHandle, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/fixture.js'
import { checkFrames, frame } from '../support/frames.js'
import { pattern, PatternChecker, seeds } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'
import {
  heard,
  lines,
  onNetThreads,
  sendUntilHeldBack,
  useSharedWorld,
} from '../support/shared-world.js'
import { code, told } from '../write/told.js'
import { relay, relayWorker, type Relay } from './relay.js'

describe('a connection that is given to another worker', () => {
  onNetThreads((threads) => {
    const box = useSharedWorld(threads)

    test('is its connection from then on, and not ours (SK-3, INV-11, INV-28)', async () => {
      const { world } = box
      const worker = await world.worker(`reactor.register((vc) => {
        tell([threadId, vc.id, vc.remoteAddress, Reactor.address(vc.id) === vc, vc.closed])
        echo(vc)
      })`)
      const [client, server] = await world.pair()
      const { id, remoteAddress } = server
      const got = heard(worker, Array.isArray)
      server.assign(worker.threadId)
      expect(await got).toEqual([worker.threadId, id, remoteAddress, true, false])
      expect([server.id, server.remoteAddress, server.closed]).toEqual([id, remoteAddress, false])
      const handle = Reactor.address(id)!
      expect([handle.id, handle === server, handle instanceof VCHandle]).toEqual([id, false, true])
      const { stream } = world.check(client)
      client.write(pattern(100_000))
      await eventually(() => stream.count === 100_000, 'the worker echoes')
      client.doIoClose()
      await eventually(() => server.closed && handle.closed, 'it is closed for everybody')
    })

    test('given away, moved and given back: no record of the old object reaches the new one (INV-28)', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register((vc) => vc.assign(workerData.back))', {
        back: here,
      })
      const [client, server] = await world.pair()
      const { id } = server
      const stream = new PatternChecker()
      let current = server
      let strays = 0
      let returned: ((vc: VConnection) => void) | undefined
      world.reactor.register((vc) => returned?.(vc))
      const rounds = 30
      const each = 20_000
      for (let i = 0; i < rounds; i++) {
        const mine = current
        const [buffer, reader] = world.pipe()
        const take = () => {
          if (current !== mine) strays++
          stream.take(reader.read())
        }
        mine.doIoRead(take, Infinity, buffer)
        client.write(pattern(each, i * each))
        if (i % 3 === 0) {
          const there = mine.migrate(i % threads)
          stream.take(reader.read())
          await there
          mine.doIoRead(take, Infinity, buffer)
        }
        const back = new Promise<VConnection>((resolve) => (returned = resolve))
        mine.assign(worker.threadId)
        current = await back
        expect(current).not.toBe(mine)
        expect([current.id, Reactor.address(id)]).toEqual([id, current])
      }
      const [buffer, reader] = world.pipe()
      current.doIoRead(() => stream.take(reader.read()), Infinity, buffer)
      await eventually(() => stream.count === rounds * each, 'every byte, once and in order')
      expect(strays).toBe(0)
      client.doIoClose()
    })

    test('its old object writes on, and refuses what only an owner may (ERR_VC_NOT_OWNER)', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register(() => {})')
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const read = server.doIoRead(() => {}, Infinity, buffer)
      const write = server.doIoWrite(() => {}, Infinity, reader)
      server.assign(worker.threadId)
      const calls = {
        doIoRead: () => server.doIoRead(() => {}, 1, buffer),
        'doIoRead(null)': () => server.doIoRead(null, 0, null),
        doIoWrite: () => server.doIoWrite(() => {}, 1, reader),
        doIoShutdown: () => server.doIoShutdown('write'),
        trap: () => server.trapWriteBufferEmpty(),
        assign: () => server.assign(worker.threadId),
        tunnel: () => tunnel(server, client),
        'tunnel, as b': () => tunnel(client, server),
        'read.reenable': () => read.reenable(),
        'write.reenable': () => write.reenable(),
        'read.nbytes': () => (read.nbytes = 1),
        'write.done': () => write.done(),
      }
      for (const [name, call] of Object.entries(calls)) {
        expect([name, code(call)]).toEqual([name, 'ERR_VC_NOT_OWNER'])
      }
      const handle = Reactor.address(server.id)!
      expect(code(() => handle.assign(here))).toBe('ERR_NO_SUCH_WORKER')
      world.reactor.register(() => {})
      expect(code(() => handle.assign(here))).toBe('ERR_VC_NOT_OWNER')
      const { stream } = world.check(client)
      server.write(pattern(10))
      handle.write(pattern(10, 10))
      await told(server, pattern(100_000, 20))
      await Promise.all([server.drained(), handle.drained()])
      await eventually(() => stream.count === 100_020, 'all arrives')
      expect([server.writableLength, server.failed, server.failure]).toEqual([0, false, undefined])
      reader.dealloc()
      buffer.free() // nothing of the connection is at them any more
    })

    test('with what was read, and not consumed, in front of what comes (INV-4, INV-28)', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register(echo)')
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const behind = buffer.allocReader()
      const recorder = new Recorder()
      server.doIoRead(recorder.handler, Infinity, buffer)
      client.write(pattern(50_000))
      await eventually(() => reader.readAvail === 50_000, 'it has come')
      reader.consume(1234) // the most advanced one counts
      server.assign(worker.threadId)
      client.write(pattern(50_000, 50_000))
      const { stream } = world.check(client, Infinity, 1234)
      await eventually(() => stream.count === 98_766, 'the rest comes back')
      await eventually(() => code(() => behind.readAvail) === 'ok', 'the buffer is ours again')
      expect(behind.buffer).toBe(buffer)
    })

    test('writes before it leave before those of the new owner (SW-9)', async () => {
      const { world } = box
      const worker = await world.worker(
        `reactor.register((vc) => { vc.write(workerData.pattern.subarray(60_000)); tell('has it') })`,
        { pattern: pattern(65_000) },
      )
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      server.write(pattern(100)) // collected
      server.write(pattern(9_900, 100)) // not collected
      void told(server, pattern(10_000, 10_000))
      buffer.write(pattern(40_000, 20_000))
      server.doIoWrite(() => {}, Infinity, reader) // sent as it is in its buffer
      const has = heard(worker, (m) => m === 'has it')
      server.assign(worker.threadId)
      const { stream } = world.check(client)
      await has
      await eventually(() => stream.count === 65_000, 'all arrives')
    })

    test('more than the kernel takes leaves first, too (SW-9)', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register((vc) => { vc.write(workerData.last) })', {
        last: frame(1, 0, 9),
      })
      const [client, server] = await world.pair()
      let n = 0
      while (server.write(frame(0, n++, 20_000)));
      const late = Array.from({ length: 50 }, () => told(server, frame(0, n++, 20_000)))
      server.assign(worker.threadId)
      const { frames } = checkFrames(world, client)
      await Promise.all(late)
      await eventually(() => frames.count(1) === 1, 'the message of the new owner')
      expect(frames.count(0)).toBe(n)
    })

    test('the fence: no handler of its old owner runs from the return on (INV-1, INV-28)', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register(echo)')
      let late = 0
      for (let round = 0; round < 50; round++) {
        const [client, server, listener] = await world.pair()
        let assigned = false
        const [buffer, reader] = world.pipe()
        const [, outReader] = world.pipe()
        const handler = () => {
          if (assigned) late++
          else if (reader.readAvail > 3000 * (round % 3)) {
            assigned = true
            server.assign(worker.threadId)
            expect(server.closed).toBe(false)
          }
        }
        server.doIoRead(handler, Infinity, buffer)
        server.doIoWrite(() => void (assigned && late++), Infinity, outReader)
        const { stream } = world.check(client)
        for (let i = 0; i < 4; i++) client.write(pattern(5000, i * 5000))
        await eventually(() => stream.count === 20_000, `all of round ${String(round)}`)
        client.doIoClose()
        await listener.close()
      }
      expect(late).toBe(0)
    })

    test('with a full buffer, and its peer held back: goes on there (RD-14)', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register(echo)')
      const [client, server] = await world.pair()
      const [buffer] = world.pipe()
      server.doIoRead(() => {}, Infinity, buffer)
      const bytes = await sendUntilHeldBack(client)
      await eventually(() => buffer.maxReadAvail > 0, 'some has come')
      server.assign(worker.threadId)
      const { stream } = world.check(client)
      await eventually(() => stream.count === bytes, 'all is echoed')
    })

    test.each([
      ['EOS', (c: VConnection) => c.doIoShutdown('write')],
      ['EOS after a reset', (c: VConnection) => c.closeWithReset()],
    ])('in the handler of %s: the new owner hears it too, after the bytes', async (name, end) => {
      const { world } = box
      const worker = await world.worker('reactor.register(hoard)')
      const [client, server] = await world.pair()
      const events: unknown[] = []
      worker.on('message', (m) => events.push(m))
      const [buffer, reader] = world.pipe()
      let calls = 0
      server.doIoRead(
        (event) => {
          calls++
          if (event === VCEvent.EOS) server.assign(worker.threadId)
        },
        Infinity,
        buffer,
      )
      if (name === 'EOS') client.write('some')
      end(client)
      await eventually(() => events.length > 0, 'the worker hears')
      await eventually(() => /EOS/.test(String(events.at(-1))), 'the end')
      expect(events.at(-1)).toEqual(['EOS', name === 'EOS' ? 4 : 0])
      expect(calls).toBeGreaterThan(0)
      expect(code(() => reader.readAvail)).toBe('ok')
    })

    test('in the handlers of listen(), connect() and register(), and with nothing armed', async () => {
      const { world } = box
      const forward = 'reactor.register((vc) => vc.assign(workerData.to))'
      const last = await world.worker('reactor.register(greet)')
      const middle = await world.worker(forward, { to: last.threadId })
      const first = await world.worker(forward, { to: middle.threadId })
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) =>
        vc.assign(first.threadId),
      )
      const all = await Promise.all(
        Array.from({ length: 20 }, () => world.client.connect(listener.addresses[0])),
      )
      const texts = all.map((vc) => lines(world, vc))
      await eventually(() => texts.every((t) => t.length > 0), 'greeted')
      expect(texts).toEqual(texts.map(() => [String(last.threadId)]))
      // A connecting one: its peer is an echo in this thread.
      const peers: VConnection[] = []
      const other = await world.client.listen('tcp://127.0.0.1:0', (vc) => void peers.push(vc))
      const vc = await world.reactor.connect(other.addresses[0])
      vc.assign(first.threadId)
      await eventually(() => peers.length === 1, 'accepted')
      const text = lines(world, peers[0])
      await eventually(() => text.length === 1, 'greeted by the worker')
    })

    test('to itself: another object, the same connection', async () => {
      const { world } = box
      const got: VConnection[] = []
      world.reactor.register((vc) => got.push(vc))
      const [client, server] = await world.pair()
      client.write('abc')
      server.assign(here)
      expect(got).toEqual([])
      await eventually(() => got.length === 1, 'it comes back')
      const again = got[0]
      expect([again === server, again.id === server.id, Reactor.address(server.id)]).toEqual([
        false,
        true,
        again,
      ])
      const [buffer, reader] = world.pipe()
      again.doIoRead(() => {}, Infinity, buffer)
      await eventually(() => reader.readAvail === 3, 'what had come')
      again.doIoClose()
      await eventually(() => server.closed, 'for the old object, too')
      world.reactor.unregister()
    })

    test('sides that were shut stay shut for the new owner (ERR_VC_SHUT)', async () => {
      const { world } = box
      const worker = await world.worker(
        `reactor.register((vc) => {
           try { vc.write('x'); tell('written') } catch (error) { tell(error.code) }
           echo
         })`,
      )
      const [client, server] = await world.pair()
      server.write('before')
      server.doIoShutdown('write')
      const answer = heard(worker, (m) => m !== 'ready')
      server.assign(worker.threadId)
      expect(await answer).toBe('ERR_VC_SHUT')
      const recorder = new Recorder()
      client.doIoRead(recorder.handler, Infinity, world.buffer())
      expect(await recorder.end()).toBe('EOS')
    })

    test('closed by its old object, or a handle, the new owner knows (CL-3)', async () => {
      const { world } = box
      const worker = await world.worker(
        `const got = []
         reactor.register((vc) => { got.push(vc); tell('has it') })
         parentPort.on('message', () => tell([got.map((vc) => vc.closed), reactor.workers().find((w) => w.threadId === threadId).connections]))`,
      )
      const ways = [
        (vc: VConnection) => vc.doIoClose(),
        (vc: VConnection) => vc.closeGracefully(),
        (vc: VConnection) => vc.closeWithReset(),
        (vc: VConnection) => Reactor.address(vc.id)!.doIoClose(),
        (vc: VConnection) => void vc.setFailed('by the old one'),
      ]
      for (const way of ways) {
        const [client, server] = await world.pair()
        const recorder = new Recorder()
        client.doIoRead(recorder.handler, Infinity, world.buffer())
        const has = heard(worker, (m) => m === 'has it')
        server.assign(worker.threadId)
        await has
        way(server)
        expect(await recorder.end()).toBe('EOS')
        client.doIoClose()
        await eventually(() => server.closed, 'closed')
      }
      let state: [boolean[], number] = [[], -1]
      worker.on('message', (m: typeof state) => (state = m))
      for (let i = 0; i < 1000 && (state[1] !== 0 || state[0].includes(false)); i++) {
        worker.postMessage('state?')
        await heard(worker, Array.isArray)
      }
      expect(state).toEqual([ways.map(() => true), 0])
    })

    test.each(seeds(1))(
      'back and forth among four threads, 2000 times and more: all is echoed in order (INV-4, INV-28, SW-9), seed %i',
      async (seed) => {
        const { world } = box
        const connections = 4
        const each = 1_200_000
        const state: Relay = {
          seed,
          table: pattern(65_521),
          ids: new Int32Array(new SharedArrayBuffer(16)),
          counts: new Int32Array(new SharedArrayBuffer(12)),
          slots: [],
          positions: new Int32Array(new SharedArrayBuffer(4 * connections)),
        }
        const workers = await Promise.all(
          [1, 2, 3].map((n) => world.worker(relayWorker, { state: { ...state, seed: seed + n } })),
        )
        state.ids.set([here, ...workers.map((w) => w.threadId)])
        const pairs = []
        for (let i = 0; i < connections; i++) pairs.push(await world.pair())
        const keys = pairs.map(([, server]) => server.id)
        for (const worker of workers) worker.postMessage(keys)
        await Promise.all(workers.map((w) => heard(w, (m) => m === 'knows')))
        const take = relay({ ...state, slots: keys })
        world.reactor.register(take)
        const streams = pairs.map(([client]) => world.check(client))
        for (const [client, server] of pairs) {
          take(server)
          for (let at = 0; at < each; at += 60_000) client.write(pattern(60_000, at))
          client.doIoShutdown('write')
        }
        const ends = await Promise.all(streams.map(({ recorder }) => recorder.end()))
        expect(ends).toEqual(keys.map(() => 'EOS'))
        expect(streams.map(({ stream }) => stream.count)).toEqual(keys.map(() => each))
        expect(state.counts[1]).toBe(0) // wrong bytes
        expect(state.counts[0]).toBeGreaterThan(2000)
        world.reactor.unregister()
      },
    )
  })
})
