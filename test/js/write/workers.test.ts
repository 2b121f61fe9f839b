import { once } from 'node:events'
import { Reactor, VCEvent, writeMany, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { ended } from '../lifecycle/netvc-worker.js'
import { unixAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { checkFrames, filler, frame } from '../support/frames.js'
import { logarithmic, random, seeds } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'
import { startWriter, writeAll } from '../support/writer-worker.js'

const fine = { code: 0, told: ['done'] }
const messages = (reactor: Reactor) => reactor.stats().messages

/** Writes more than the kernel takes while nobody reads. */
function fill(vc: VConnection): void {
  while (vc.write(Buffer.alloc(100_000, filler)));
}

describe('workers that write to one connection by its id', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(seeds(1))(
      'four of them: each message whole, those of one in order (SW-9, INV-9), seed %i',
      async (seed) => {
        const { world } = box
        const [client, server] = await world.pair()
        const { frames, recorder } = checkFrames(world, server)
        const workers = [0, 1, 2, 3].map((writer) =>
          startWriter(`${writeAll}\ntell('done')`, {
            id: client.id,
            writer,
            count: 2000,
            seed: seed + writer,
          }),
        )
        expect(await Promise.all(workers.map(ended))).toEqual([fine, fine, fine, fine])
        client.doIoShutdown('write')
        expect(await recorder.end()).toBe('EOS')
        expect([...frames.seen.values()]).toEqual([2000, 2000, 2000, 2000])
        expect(frames.partial).toBe(0)
      },
    )

    test('with completions: each is told once, and then the kernel has it (SW-2, INV-10)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { frames } = checkFrames(world, server)
      const body = `
        let calls = 0
        const all = []
        for (let i = 0; i < count; i++) {
          const bytes = frame(writer, i, size(1, 20000))
          if (i % 2) all.push(vc.write(bytes, { completion: true }))
          else vc.write(bytes, { completion: (error) => { if (error) throw error; calls++ } })
          if (i % 50 === 49) await Promise.all(all)
        }
        await Promise.all(all)
        await vc.write(frame(writer, count, 1), { completion: true })
        tell(calls)`
      const workers = [0, 1, 2, 3].map((writer) =>
        startWriter(body, { id: client.id, writer, count: 400, seed: writer }),
      )
      const result = { code: 0, told: [200] }
      expect(await Promise.all(workers.map(ended))).toEqual([result, result, result, result])
      await eventually(() => frames.messages === 4 * 401, 'all arrive')
    })

    test.each(seeds(1))(
      'beside its owner: write(), with options, writeMany, a write operation (SW-9), seed %i',
      async (seed) => {
        const { world } = box
        const [client, server] = await world.pair()
        const { frames, recorder } = checkFrames(world, server)
        const next = random(seed)
        const single = `
          for (let i = 0; i < count; i++) {
            const { refused } = writeMany([vc, id].slice(i % 2, i % 2 + 1), frame(writer, i, size(1, 20000)))
            if (refused.length) throw refused[0].error
            if (vc.writableLength > vc.writableHighWaterMark) await vc.drained()
          }
          tell('done')`
        const workers = [1, 2, 3].map((writer) =>
          startWriter(writer === 1 ? single : `${writeAll}\ntell('done')`, {
            id: client.id,
            writer,
            count: 1000,
            seed: seed + writer,
          }),
        )
        const all = Promise.all(workers.map(ended))
        const [buffer, reader] = world.pipe()
        let fillers = 0
        const fillUp = () => {
          if (buffer.maxReadAvail > 100_000) return
          buffer.write(Buffer.alloc(5000, filler))
          fillers += 5000
        }
        fillUp()
        const writer = new Recorder((event) => {
          if (event === VCEvent.WRITE_READY && frames.count(0) < 1000) fillUp()
        })
        const operation = client.doIoWrite(writer.handler, Infinity, reader)
        for (let i = 0; i < 1000; i++) {
          const bytes = frame(0, i, logarithmic(next, 1, 20_000))
          if (i % 3 === 0) client.write(bytes)
          else if (i % 3 === 1) client.write(bytes, { pipelinedCount: i })
          else expect(writeMany([client], bytes).refused).toEqual([])
          if (client.writableLength > client.writableHighWaterMark) await client.drained()
          if (i % 20 === 0) await turn()
        }
        expect(await all).toEqual([fine, fine, fine])
        await eventually(() => frames.messages === 4000, 'all messages arrive')
        await eventually(() => frames.fillers === fillers, 'the operation is through')
        expect(operation.ndone).toBeLessThanOrEqual(fillers)
        client.doIoShutdown('write')
        expect(await recorder.end()).toBe('EOS')
        expect([frames.fillers, frames.partial]).toEqual([fillers, 0])
      },
    )

    test('what the owner wrote leaves before doIoClose, beside a worker that never stops (SW-9, CL-1)', async () => {
      const { world } = box
      const shared = new BigUint64Array(new SharedArrayBuffer(8))
      const worker = startWriter(
        `const current = new BigUint64Array(workerData.shared)
         tell('ready')
         for (let last = 0n;;) {
           const vc = Reactor.address(Atomics.load(current, 0))
           for (let i = 0; vc && i < 20; i++) vc.write('\\xff', { completion: () => {} })
           await new Promise((resolve) => setImmediate(resolve))
         }`,
        { id: 0n, shared: shared.buffer },
      )
      worker.on('error', (error) => expect.fail(String(error)))
      await once(worker, 'message')
      for (let i = 0; i < 300; i++) {
        const [client, server, listener] = await world.pair(unixAddress())
        let text = ''
        const [buffer, reader] = world.pipe()
        const recorder = new Recorder(() => (text += reader.read().toString('latin1')))
        server.doIoRead(recorder.handler, Infinity, buffer)
        Atomics.store(shared, 0, client.id)
        const sent = client.write('last', { completion: true })
        client.write(' word')
        client.doIoClose()
        await sent
        expect(await recorder.end()).toBe('EOS')
        expect(text.replace(/[^ -~]/g, '')).toBe('last word')
        server.doIoClose()
        await listener.close()
      }
      await worker.terminate()
    })
  })
})

describe('a worker that ends', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('in the midst of writing, 100 times: what it wrote is a prefix, message by message (INV-9, INV-27)', async () => {
      const { world } = box
      const before = messages(world.reactor)
      const [client, server] = await world.pair()
      const { frames, recorder } = checkFrames(world, server)
      const steady = startWriter(
        `let stop = false
         asked().then(() => { stop = true })
         let i = 0
         for (; !stop; i++) {
           if (!vc.write(frame(writer, i, size(1, 5000)))) await vc.drained()
           else await new Promise((resolve) => setImmediate(resolve))
         }
         tell(i)`,
        { id: client.id, writer: 1000 },
      )
      const end = ended(steady)
      const told = new Map<number, number>()
      const round = async (writer: number) => {
        const worker = startWriter(
          `for (let i = 0;; i++) {
             const more = vc.write(frame(writer, i, size(1, 5000)), { completion: () => {} }), n = i + 1
             if (n === 3) tell(n)
             if (vc.writableLength > 200000) await vc.drained()
           }`,
          { id: client.id, writer, seed: writer },
        )
        const [n] = (await once(worker, 'message')) as [number]
        await worker.terminate()
        told.set(writer, n)
      }
      let next = 0
      const lane = async () => {
        while (next < 100) await round(next++)
      }
      await Promise.all([lane(), lane(), lane()])
      steady.postMessage('stop')
      const { told: steadily, code } = await end
      expect(code).toBe(0)
      expect(told.size).toBe(100)
      client.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      expect(frames.partial).toBe(0)
      expect(frames.count(1000)).toBe(steadily[0])
      for (const [writer, n] of told) expect(frames.count(writer)).toBeGreaterThanOrEqual(n)
      await eventually(() => messages(world.reactor) === before, 'no message is left')
    })

    test('while its completions, listeners and drained() are pending (INV-10, INV-27)', async () => {
      const { world } = box
      const before = messages(world.reactor)
      const [client, server] = await world.pair(unixAddress())
      fill(client)
      const body = `
        for (let i = 0; i < 100; i++) vc.write('\\xff'.repeat(i + 1), { completion: true }).catch(() => {})
        vc.onFailed(() => {})
        vc.drained().catch(() => {})
        tell('busy')`
      const workers = Array.from({ length: 4 }, () => startWriter(body, { id: client.id }))
      await Promise.all(workers.map((worker) => once(worker, 'message')))
      expect(messages(world.reactor)).toBeGreaterThanOrEqual(before + 400)
      await Promise.all(workers.map((worker) => worker.terminate()))
      // Two more, of which one hears of it, and one does not.
      const late = startWriter(`${body}\nprocess.exit(0)`, { id: client.id })
      expect((await ended(late)).code).toBe(0)
      const failed = new Promise((resolve) => client.onFailed(resolve))
      server.doIoClose()
      client.doIoRead(() => {}, Infinity, world.buffer())
      client.setFailed('enough')
      await failed
      client.doIoClose()
      await eventually(() => messages(world.reactor) === before, 'no message is left')
    })

    test('lives until its completions have come, and no longer (INV-27)', async () => {
      const { world } = box
      const [client, server] = await world.pair(unixAddress())
      fill(client)
      const worker = startWriter(
        `vc.onFailed(() => {})
         vc.write('last', { completion: true }).then(() => tell('told'))
         tell('asked')`,
        { id: client.id },
      )
      const end = ended(worker)
      await once(worker, 'message')
      const [buffer, reader] = world.pipe()
      const recorder = new Recorder(() => reader.consume(reader.readAvail))
      server.doIoRead(recorder.handler, Infinity, buffer)
      expect(await end).toEqual({ code: 0, told: ['asked', 'told'] })
    })
  })
})

describe('a worker that ends a connection by its id', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)
    const ways = {
      'vc.doIoClose()': ['EOS', undefined, 'ERR_VC_CLOSED'],
      'vc.closeGracefully()': ['EOS', undefined, 'ERR_VC_CLOSED'],
      'vc.closeWithReset()': ['EOS', 'ECONNRESET', 'ERR_VC_CLOSED'],
      "vc.setFailed('by a worker')": ['EOS', undefined, 'EFAILEDSOCKET'],
    } as const

    test.each(Object.entries(ways))(
      '%s: its peer sees it, its owner knows it (CL-3, SK-4, SK-7)',
      async (way, [event, error, code]) => {
        const { world } = box
        const [client, server] = await world.pair()
        const { recorder } = world.check(server)
        const reading = new Recorder(() => client.doIoClose())
        const armed = client.doIoRead(reading.handler, Infinity, world.buffer())
        const failed = new Promise<{ code: string }>((resolve) => client.onFailed(resolve))
        const worker = startWriter(`${way}\ntell(vc.constructor.name)`, { id: client.id })
        expect(await ended(worker)).toEqual({ code: 0, told: ['VCHandle'] })
        expect(await recorder.end()).toBe(event)
        expect(server.error?.code).toBe(error)
        server.doIoClose()
        expect((await failed).code).toBe(code)
        // Closed is told to nobody who is armed: as if the owner had done it himself.
        await eventually(() => client.closed, 'the owner knows')
        expect(armed.ndone).toBe(0)
        expect(reading.names).toEqual(code === 'EFAILEDSOCKET' ? ['ERROR'] : [])
        expect(() => client.write('x')).toThrow(expect.objectContaining({ code: 'ERR_VC_CLOSED' }))
        expect(Reactor.address(client.id)).toBeUndefined()
      },
    )

    test('after what it wrote before (SW-9, CL-1)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { frames, recorder } = checkFrames(world, server)
      const worker = startWriter(
        `for (let i = 0; i < count; i++) vc.write(frame(writer, i, 5000))
         vc.doIoClose()
         tell('done')`,
        { id: client.id, writer: 1, count: 400 },
      )
      expect(await ended(worker)).toEqual(fine)
      expect(await recorder.end()).toBe('EOS')
      expect([frames.count(1), frames.partial]).toEqual([400, 0])
    })
  })
})

describe('ids', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('stale ones are undefined for ever, here and in a worker (INV-11)', async () => {
      const { world } = box
      const ids: bigint[] = []
      const accepted: VConnection[] = []
      const listener = await world.reactor.listen(unixAddress(), (vc) => accepted.push(vc))
      const address = listener.addresses[0]
      for (let round = 0; round < 100; round++) {
        const clients = await Promise.all(
          Array.from({ length: 10 }, () => world.reactor.connect(address)),
        )
        await eventually(() => accepted.length === 10, 'accepted')
        for (const vc of [...clients, ...accepted]) {
          expect(Reactor.address(vc.id)).toBe(vc)
          ids.push(vc.id)
          vc.doIoClose()
        }
        await eventually(
          () => ids.slice(-20).every((id) => Reactor.address(id) === undefined),
          'the net threads have closed them',
        )
        accepted.length = 0
      }
      expect(new Set(ids).size).toBe(2000)
      const worker = startWriter(
        `tell(workerData.ids.filter((one) => Reactor.address(one) !== undefined).length)`,
        { id: 0n, ids },
      )
      const [client] = await world.pair()
      expect(await ended(worker)).toEqual({ code: 0, told: [0] })
      expect(ids.filter((id) => Reactor.address(id) !== undefined)).toEqual([])
      expect(ids).not.toContain(client.id)
      const { accepted: none, refused } = writeMany(ids, 'nobody')
      expect([none, refused.length]).toEqual([0, 2000])
      expect(
        refused.every(({ error, id }, i) => error.code === 'ERR_VC_CLOSED' && id === ids[i]),
      ).toBe(true)
      expect(client.writableLength).toBe(0)
    })

    test.each([0n, 1n, -1n, 2n ** 32n, 2n ** 64n - 1n, 2n ** 64n, 2n ** 80n])(
      '%s is none, and refused (SK-3)',
      (id) => {
        expect(Reactor.address(id)).toBeUndefined()
        expect(writeMany([id], 'x').accepted).toBe(0)
      },
    )

    test('an id has to be a bigint', () => {
      for (const wrong of [1, '1', null, undefined, {}]) {
        expect(() => Reactor.address(wrong as never)).toThrow(
          expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
        )
      }
    })
  })
})
