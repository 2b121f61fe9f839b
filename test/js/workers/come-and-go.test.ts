import { readdirSync } from 'node:fs'
import { threadId as here } from 'node:worker_threads'
import { Reactor } from 'netvc'
import { describe, expect, test } from 'vitest'
import { ended } from '../lifecycle/netvc-worker.js'
import { eventually } from '../support/fixture.js'
import { checkFrames, frame } from '../support/frames.js'
import { pattern, random, seeds } from '../support/pattern.js'
import { heard, onNetThreads, useSharedWorld } from '../support/shared-world.js'

const endings = [
  'asked().then(() => { reactor.unregister(); reactor.unref() })',
  'asked().then(() => process.exit(5))',
  "asked().then(() => { throw new Error('stopped here') })",
  'asked()', // and is terminated
  'asked().then(() => reactor.close())',
]

describe('workers that come and go', () => {
  onNetThreads((threads) => {
    const box = useSharedWorld(threads)

    test.each(seeds(1))(
      '200 terminations under load: others at the same net thread notice nothing (INV-27, SW-9), seed %i',
      { timeout: 300_000 },
      async (seed) => {
        const { world } = box
        const next = random(seed)
        const before = world.reactor.stats()
        // One that echoes, one that everybody writes to.
        const [steady, echoing] = await world.pair()
        const [buffer, reader] = world.pipe()
        echoing.doIoRead(() => void echoing.write(reader.read()), Infinity, buffer)
        const { stream, recorder } = world.check(steady)
        let sent = 0
        let stop = false
        const echoes = (async () => {
          while (!stop) {
            steady.write(pattern(5000, sent))
            sent += 5000
            await recorder.when(() => stream.count === sent)
          }
        })()
        const [reading, target] = await world.pair()
        const { frames } = checkFrames(world, reading)
        const writers = await Promise.all(
          [1000, 1001, 1002].map((writer) =>
            world.worker(
              `${frame.toString()}
               const vc = Reactor.address(workerData.id), { writer } = workerData
               let stop = false
               asked().then(() => (stop = true))
               ;(async () => {
                 let i = 0
                 for (; !stop; i++) {
                   if (!vc.write(frame(writer, i, 1 + (i * 7919) % 3000))) await vc.drained()
                   else await turn()
                 }
                 tell(i)
               })()`,
              { id: target.id, writer },
            ),
          ),
        )
        const orphans: bigint[] = []
        world.reactor.register((vc) => {
          orphans.push(vc.id)
          vc.doIoClose()
        })
        world.reactor.onParked((id) => Reactor.address(id)?.assign(here))
        let parked = 0
        const round = async (writer: number) => {
          const park = next() < 0.5
          const worker = await world.worker(
            `${frame.toString()}
             const target = Reactor.address(workerData.id)
             let i = 0
             ;(async () => {
               for (;;) {
                 if (!target.write(frame(workerData.writer, i++, 1000))) await target.drained()
                 else if (i % 3 === 0) await turn()
               }
             })()
             reactor.register(echo, { onExit: '${park ? 'park' : 'close'}' })`,
            { id: target.id, writer },
          )
          const pairs = await Promise.all([world.pair(), world.pair()])
          const others = pairs.map(([client, server]) => {
            server.assign(worker.threadId)
            client.write(pattern(50_000))
            return world.check(client)
          })
          await Promise.all(
            others.map((other) => other.recorder.when(() => other.stream.count > 0)),
          )
          await worker.terminate()
          for (const other of others) expect(await other.recorder.end()).toBe('EOS')
          if (park) parked += 2
          for (const [client, , listener] of pairs) {
            client.doIoClose()
            await listener.close()
          }
        }
        let rounds = 0
        const lane = async () => {
          while (rounds < 200) await round(rounds++)
        }
        await Promise.all([lane(), lane(), lane()])
        expect(orphans.length).toBe(parked)
        stop = true
        await echoes
        expect(stream.count).toBe(sent)
        const counts = await Promise.all(
          writers.map(async (worker) => {
            const count = heard<number>(worker, (m) => typeof m === 'number')
            worker.postMessage('stop')
            return count
          }),
        )
        await target.drained()
        await eventually(
          () => counts.every((n, i) => frames.count(1000 + i) === n),
          'all of the steady writers arrives',
        )
        await eventually(() => frames.partial === 0, 'only whole messages')
        for (const vc of [steady, echoing, reading, target]) vc.doIoClose()
        world.reactor.unregister()
        await eventually(() => {
          const { connections, messages } = world.reactor.stats()
          return connections <= before.connections && messages <= before.messages
        }, 'no connection and no message is left')
        expect(world.reactor.parked()).toEqual([])
      },
    )

    test('the last one that shares, while this thread does not: the net threads end', async () => {
      const { world } = box
      const tasks = () => readdirSync('/proc/self/task').length
      void world.client
      let before = 0
      for (const ending of endings) {
        const worker = world.start(
          `const listener = await reactor.listen('tcp://127.0.0.1:0', echo)
           tell(listener.addresses[0])
           ${ending}`,
        )
        const address = await heard<string>(worker, (m) => m.startsWith('tcp:'))
        const client = await world.client.connect(address)
        const { recorder, stream } = world.check(client)
        client.write(pattern(100_000))
        const over = ended(worker)
        await eventually(() => stream.count > 0, 'echoed')
        if (ending === 'asked()') void worker.terminate()
        else worker.postMessage('end')
        expect(await recorder.end()).toBe('EOS')
        await over
        client.doIoClose()
        before ||= tasks()
        await eventually(() => tasks() <= before, 'no thread is left')
      }
    })
  })
})
