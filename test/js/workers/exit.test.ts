import { threadId as here, type Worker } from 'node:worker_threads'
import { Reactor, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { ended } from '../lifecycle/netvc-worker.js'
import { eventually, turn } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import {
  heard,
  lines,
  onNetThreads,
  sendUntilHeldBack,
  useSharedWorld,
  type SharedWorld,
} from '../support/shared-world.js'
import { code, told } from '../write/told.js'

/** How a worker ends, on a message; and its exit code. */
const ends: Record<string, [body: string, code: number]> = {
  'by itself': ['asked().then(() => { reactor.unregister(); reactor.unref() })', 0],
  'process.exit()': ['asked().then(() => process.exit(5))', 5],
  'an uncaught error': ["asked().then(() => { throw new Error('stopped here') })", 1],
  'terminate()': ['asked()', 1],
}

function end(worker: Worker): Promise<{ code: number }> {
  const over = ended(worker)
  worker.postMessage('end')
  return over
}

const registering = (handler: string, onExit: string) =>
  `reactor.register(${handler}, { onExit: '${onExit}' })\n`

/** A connection that a new worker has; which does not consume what comes. */
async function hoarded(world: SharedWorld, onExit = 'park', ending = 'asked()', bytes = 10_000) {
  const worker = await world.worker(registering('hoard', onExit) + ending)
  const [client, server] = await world.pair()
  const has = heard<[string, number]>(worker, ([, n]) => n === bytes)
  client.write(pattern(bytes))
  server.assign(worker.threadId)
  await has
  return { worker, client, server, id: server.id, bytes }
}

/** Terminates the worker; resolves when its connection is parked. */
async function parkedOf(world: SharedWorld, { worker, id }: { worker: Worker; id: bigint }) {
  const told: bigint[] = []
  const forget = world.reactor.onParked((one) => told.push(one))
  await worker.terminate()
  await eventually(() => told.length > 0, 'onParked')
  await turn()
  forget()
  expect(told).toEqual([id])
  expect(world.reactor.parked()).toEqual([id])
  return Reactor.address(id)!
}

const parkedOnes = (world: SharedWorld) => world.reactor.parked().length

describe.each(Object.entries(ends))('a worker ends: %s', (name, [ending, exitCode]) => {
  onNetThreads((threads) => {
    const box = useSharedWorld(threads)
    const stop = async (worker: Worker) => {
      if (name === 'terminate()') return worker.terminate()
      return (await end(worker)).code
    }

    test.each(['close', undefined])(
      'policy %s: its connections end, and nobody is told of parked ones (INV-27)',
      async (policy) => {
        const { world } = box
        const options = policy ? `, { onExit: '${policy}' }` : ''
        const worker = await world.worker(`reactor.register(echo${options})\n${ending}`)
        const parked: bigint[] = []
        world.reactor.onParked((id) => parked.push(id))
        const pairs = []
        for (let i = 0; i < 5; i++) pairs.push(await world.pair())
        const streams = pairs.map(([client]) => world.check(client))
        for (const [client, server] of pairs) {
          server.assign(worker.threadId)
          client.write(pattern(500_000))
        }
        await eventually(() => streams.every(({ stream }) => stream.count > 0), 'busy')
        expect(await stop(worker)).toBe(exitCode)
        for (const { recorder } of streams) expect(await recorder.end()).toBe('EOS')
        for (const [, server] of pairs) {
          await eventually(() => server.closed, 'known')
          expect(Reactor.address(server.id)).toBeUndefined()
        }
        expect([parked, world.reactor.parked()]).toEqual([[], []])
      },
    )

    test('policy park: somebody else goes on with what was not consumed, and what came since (INV-28)', async () => {
      const { world } = box
      const heir = await world.worker('reactor.register(echo)')
      const { worker, client, server, bytes, id } = await hoarded(world, 'park', ending)
      const parked: bigint[] = []
      world.reactor.onParked((one) => parked.push(one))
      let sent = bytes
      const more = () => {
        client.write(pattern(7000, sent))
        sent += 7000
      }
      const over = stop(worker)
      for (let i = 0; i < 20; i++) {
        more()
        await turn()
      }
      expect(await over).toBe(exitCode)
      await eventually(() => parked.length === 1, 'parked')
      more()
      expect([parked, world.reactor.parked(), server.closed]).toEqual([[id], [id], false])
      const { stream } = world.check(client)
      Reactor.address(id)!.assign(heir.threadId)
      expect(world.reactor.parked()).toEqual([])
      more()
      await eventually(() => stream.count === sent, 'all is echoed by the heir')
    })
  })
})

describe('a parked connection', () => {
  onNetThreads((threads) => {
    const box = useSharedWorld(threads)

    test('holds its peer back: memory does not grow, and nothing is lost', async () => {
      const { world } = box
      const subject = await hoarded(world)
      await parkedOf(world, subject)
      const { blockBytes, bytesRead } = world.reactor.stats()
      const { client, id } = subject
      const bytes = await sendUntilHeldBack(client, subject.bytes)
      const unsent = client.inspect()!.unsent
      expect(world.reactor.stats().bytesRead).toBe(bytesRead)
      expect(world.reactor.stats().blockBytes - blockBytes).toBeLessThan(unsent + (1 << 20))
      const { stream } = world.check(client)
      const got: VConnection[] = []
      world.reactor.register((vc) => {
        got.push(vc)
        const [buffer, reader] = world.pipe()
        vc.doIoRead(() => void vc.write(reader.read()), Infinity, buffer)
      })
      Reactor.address(id)!.assign(here)
      await eventually(() => stream.count === bytes, 'all is echoed')
      expect(got.map((vc) => vc.id)).toEqual([id])
      world.reactor.unregister()
    })

    test('what the worker had consumed is not read again', async () => {
      const { world } = box
      const position = new Int32Array(new SharedArrayBuffer(8))
      const worker = await world.worker(
        registering(
          `(vc) => read(vc, (reader) => {
             for (const { position } = workerData; reader.readAvail > 0;) {
               const n = Math.min(reader.readAvail, 7)
               position[0] += n // so far, or
               reader.consume(n)
               position[1] += n // exactly so far
             }
           })`,
          'park',
        ) + 'asked()',
        { position },
      )
      const [client, server] = await world.pair()
      server.assign(worker.threadId)
      for (let i = 0; i < 100; i++) client.write(pattern(10_000, i * 10_000))
      await eventually(() => position[0] > 50_000, 'it is busy')
      await parkedOf(world, { worker, id: server.id })
      let bytes = Buffer.alloc(0)
      world.reactor.register((vc) => {
        const [buffer, reader] = world.pipe()
        vc.doIoRead(() => (bytes = Buffer.concat([bytes, reader.read()])), Infinity, buffer)
      })
      Reactor.address(server.id)!.assign(here)
      client.doIoShutdown('write')
      const [most, least] = position
      const left = () => 1_000_000 - bytes.length
      await eventually(() => left() === least || left() === most, 'all that was left')
      expect(bytes.equals(pattern(bytes.length, left()))).toBe(true)
      world.reactor.unregister()
    })

    test('its peer closes with nothing left to read: it is let go', async () => {
      const { world } = box
      const worker = await world.worker(
        registering('(vc) => { read(vc, () => {}); tell("has it") }', 'park') + 'asked()',
      )
      const pairs = []
      for (let i = 0; i < 8; i++) {
        const [client, server] = await world.pair()
        const has = heard(worker, (m) => m === 'has it')
        server.assign(worker.threadId)
        await has
        pairs.push({ client, server })
      }
      await worker.terminate()
      await eventually(() => parkedOnes(world) === 8, 'parked')
      const { open } = world.reactor.stats()
      for (const [i, { client }] of pairs.entries())
        if (i % 2) client.closeWithReset()
        else client.doIoClose()
      await eventually(() => world.reactor.stats().open === open - 8, 'let go')
      expect(world.reactor.parked()).toEqual([])
      for (const { server } of pairs) expect(Reactor.address(server.id)).toBeUndefined()
    })

    test('a tunnel of the worker goes on, both ways, and ends as tunnels do', async () => {
      const { world } = box
      const peers: VConnection[] = []
      const origin = await world.client.listen('tcp://127.0.0.1:0', (vc) => void peers.push(vc))
      const worker = await world.worker(
        registering(
          `async (vc) => {
             const other = await reactor.connect(workerData.origin)
             tunnel(vc, other)
             tell('joined')
           }`,
          'park',
        ) + 'asked()',
        { origin: origin.addresses[0] },
      )
      const [client, server] = await world.pair()
      const joined = heard(worker, (m) => m === 'joined')
      server.assign(worker.threadId)
      await joined
      await eventually(() => peers.length === 1, 'connected')
      const up = world.check(peers[0])
      const down = world.check(client)
      client.write(pattern(1000))
      await up.recorder.when(() => up.stream.count === 1000)
      await worker.terminate()
      expect(world.reactor.parked()).toEqual([])
      client.write(pattern(300_000, 1000))
      peers[0].write(pattern(300_000))
      await up.recorder.when(() => up.stream.count === 301_000)
      await down.recorder.when(() => down.stream.count === 300_000)
      client.doIoShutdown('write')
      expect(await up.recorder.end()).toBe('EOS')
      peers[0].doIoShutdown('write')
      expect(await down.recorder.end()).toBe('EOS')
      await eventually(() => Reactor.address(server.id) === undefined, 'it has ended')
    })

    test('takes messages, and answers about itself', async () => {
      const { world } = box
      const subject = await hoarded(world)
      const handle = await parkedOf(world, subject)
      const { stream } = world.check(subject.client)
      await told(handle, pattern(100_000))
      expect(subject.server.write(pattern(10, 100_000))).toBe(true)
      await eventually(() => stream.count === 100_010, 'they arrive')
      await eventually(() => handle.writableLength === 0, 'the writer knows')
      expect([handle.closed, handle.failed]).toEqual([false, false])
      expect(handle.inspect()?.read).toMatchObject({ enabled: false, buffered: 0 })
      const list = world.reactor.workers().reduce((n, w) => n + w.connections, 0)
      expect(list).toBe(0)
    })

    test.each([
      ['doIoClose()', (vc: VConnection) => vc.doIoClose(), undefined],
      ['closeGracefully()', (vc: VConnection) => vc.closeGracefully(), undefined],
      ['closeWithReset()', (vc: VConnection) => vc.closeWithReset(), 'ECONNRESET'],
      ['setFailed()', (vc: VConnection) => void vc.setFailed('enough'), undefined],
    ])('%s by its id ends it', async (_, close, error) => {
      const { world } = box
      const subject = await hoarded(world)
      const handle = await parkedOf(world, subject)
      const { recorder } = world.check(subject.client)
      const failed = new Promise<{ code: string }>((resolve) => handle.onFailed(resolve))
      close(handle as VConnection)
      expect(await recorder.end()).toBe('EOS')
      expect(subject.client.error?.code).toBe(error)
      subject.client.doIoClose()
      await failed
      await eventually(() => parkedOnes(world) === 0 && handle.closed, 'it is gone')
      world.reactor.register(() => expect.fail('given'))
      expect(code(() => handle.assign(here))).toBe('ERR_VC_CLOSED')
      world.reactor.unregister()
    })

    test('its peer ends: who gets it hears of the bytes, then of the end', async () => {
      const { world } = box
      const subject = await hoarded(world)
      const handle = await parkedOf(world, subject)
      subject.client.write(pattern(5000, subject.bytes))
      subject.client.doIoClose()
      await turn()
      expect(world.reactor.parked()).toEqual([subject.id])
      const heir = await world.worker('reactor.register(hoard)')
      const last = heard<[string, number]>(heir, ([event]) => event === 'EOS')
      handle.assign(heir.threadId)
      expect(await last).toEqual(['EOS', subject.bytes + 5000])
    })

    test('its peer resets: a message fails it, and it is not parked any more', async () => {
      const { world } = box
      const subject = await hoarded(world)
      const handle = await parkedOf(world, subject)
      const failed = new Promise<{ code: string }>((resolve) => handle.onFailed(resolve))
      subject.client.closeWithReset()
      let error = 'none'
      while (error === 'none') {
        await handle.write('x', { completion: true }).catch((e: { code: string }) => {
          error = e.code
        })
      }
      // Who writes learns it by this message, or the connection has been let go before.
      expect(error).toMatch(/^(ECONNRESET|EPIPE|ERR_VC_CLOSED)$/)
      expect((await failed).code).toMatch(/^(ECONNRESET|EPIPE)$/)
      await eventually(() => parkedOnes(world) === 0, 'it is gone')
      expect(handle.closed).toBe(true)
    })

    test('is told to every thread, and one of them gets it', async () => {
      const { world } = box
      const rescuers = await Promise.all(
        [1, 2, 3].map(() =>
          world.worker(`
            reactor.register(greet)
            reactor.onParked((id) => {
              try { Reactor.address(id)?.assign(threadId); tell('mine') } catch (e) { tell(e.code) }
            })`),
        ),
      )
      const answers: unknown[] = []
      for (const worker of rescuers) worker.on('message', (m) => answers.push(m))
      const subject = await hoarded(world)
      const greetings = lines(world, subject.client)
      await subject.worker.terminate()
      await eventually(() => answers.length === 3, 'all are told')
      expect(answers.map(String).sort()).toEqual(['ERR_VC_NOT_OWNER', 'ERR_VC_NOT_OWNER', 'mine'])
      await eventually(() => greetings.length > 0, 'greeted')
      expect(rescuers.map((w) => String(w.threadId))).toContain(greetings[0])
      expect(world.reactor.parked()).toEqual([])
    })

    test('is gone with the last thread that shares', async () => {
      const { world } = box
      const subject = await hoarded(world)
      const handle = await parkedOf(world, subject)
      const { recorder } = world.check(subject.client)
      await world.reactor.close()
      expect(await recorder.end()).toBe('EOS')
      expect(handle.closed).toBe(true)
    })

    test.each(['close', 'park'])(
      'policy %s also for what is on its way to a worker that ends',
      async (onExit) => {
        const { world } = box
        for (let round = 0; round < 10; round++) {
          const worker = await world.worker(registering('() => {}', onExit) + 'asked()')
          const pairs = await Promise.all(Array.from({ length: 20 }, () => world.pair()))
          const streams = pairs.map(([client]) => world.check(client))
          const { threadId } = worker
          const over = worker.terminate()
          const results = []
          for (const [i, [, server]] of pairs.entries()) {
            results.push(code(() => server.assign(threadId)))
            if (i % 4 === 3) await turn()
          }
          await over
          for (const [i, result] of results.entries()) {
            const [, server] = pairs[i]
            expect(result).toMatch(/^(ok|ERR_NO_SUCH_WORKER)$/)
            if (result !== 'ok') server.doIoClose()
            else if (onExit === 'park') {
              await eventually(() => world.reactor.parked().includes(server.id), 'parked')
              Reactor.address(server.id)!.doIoClose()
            }
            expect(await streams[i].recorder.end()).toBe('EOS')
            pairs[i][0].doIoClose()
          }
          expect(parkedOnes(world)).toBe(0)
        }
      },
    )
  })
})
