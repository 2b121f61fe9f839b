import { threadId as here, type Worker } from 'node:worker_threads'
import type { Distribute, ListenOptions, VConnection, WorkerInfo } from 'netvc'
import { describe, expect, test } from 'vitest'
import { endsWell, runChild } from '../support/child.js'
import { eventually } from '../support/fixture.js'
import {
  heard,
  lines,
  onNetThreads,
  useSharedWorld,
  type SharedWorld,
} from '../support/shared-world.js'

interface Client {
  vc: VConnection
  /** Who has answered: threadIds. */
  by: string[]
}

/** A listener whose own handler answers as the workers do. */
async function listen(world: SharedWorld, options: ListenOptions): Promise<string> {
  const own = (vc: VConnection) => {
    vc.write('own\n')
    vc.doIoRead(() => vc.doIoClose(), Infinity, world.buffer())
  }
  return (await world.reactor.listen('tcp://127.0.0.1:0', own, options)).addresses[0]
}

/** So many connections, each answered. */
async function clients(world: SharedWorld, address: string, n: number): Promise<Client[]> {
  const all = await Promise.all(
    Array.from({ length: n }, async () => {
      const vc = await world.client.connect(address)
      return { vc, by: lines(world, vc) }
    }),
  )
  await eventually(() => all.every(({ by }) => by.length > 0), 'all are answered')
  return all
}

/** How many each has answered. Nobody is answered twice. */
function tally(all: Client[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { by, vc } of all) {
    expect([by.length, vc.closed]).toEqual([1, false])
    counts[by[0]] = (counts[by[0]] ?? 0) + 1
  }
  return counts
}

const greeters = (world: SharedWorld, n: number) =>
  Promise.all(
    Array.from({ length: n }, () =>
      world.worker(`
        reactor.register(greet)
        parentPort.on('message', () => { reactor.unregister(); tell('left') })`),
    ),
  )

const equally = (workers: { threadId: number }[], n: number) =>
  Object.fromEntries(workers.map(({ threadId }) => [String(threadId), n]))

const infos = (world: SharedWorld, ids: number[]) => {
  const all = world.reactor.workers()
  return ids.flatMap((id) => all.filter(({ threadId }) => threadId === id))
}

describe('accepted connections are spread over workers', () => {
  onNetThreads((threads) => {
    const box = useSharedWorld(threads)

    const ways: Record<string, ListenOptions> = {
      'one accepts': {},
      'every net thread accepts': { acceptOnEveryThread: true },
      'threads of their own accept': { acceptThreads: 1 },
    }
    test.each(Object.entries(ways))('round-robin, %s: each the same number', async (_, options) => {
      const { world } = box
      const workers = await greeters(world, 3)
      const address = await listen(world, { ...options, distribute: 'round-robin' })
      expect(tally(await clients(world, address, 60))).toEqual(equally(workers, 20))
    })

    test('random: each some, all once', async () => {
      const { world } = box
      const workers = await greeters(world, 3)
      const address = await listen(world, { distribute: 'random' })
      const counts = tally(await clients(world, address, 200))
      expect(Object.keys(counts).sort()).toEqual(Object.keys(equally(workers, 0)).sort())
    })

    test('least-connections: fills up who has lost some', async () => {
      const { world } = box
      const workers = await greeters(world, 3)
      const ids = workers.map((w) => w.threadId)
      const address = await listen(world, { distribute: 'least-connections' })
      const all = await clients(world, address, 30)
      expect(tally(all)).toEqual(equally(workers, 10))
      const has = (n: number[]) => infos(world, ids).every((w, i) => w.connections === n[i])
      expect(infos(world, ids).map((w) => w.connections)).toEqual([10, 10, 10])
      for (const { vc } of all.filter(({ by }) => by[0] === String(ids[0]))) vc.doIoClose()
      await eventually(() => has([0, 10, 10]), 'the first one knows')
      expect(tally(await clients(world, address, 10))).toEqual({ [ids[0]]: 10 })
      const some = all.filter(({ by }) => by[0] !== String(ids[0])).slice(0, 13)
      const of = (id: number) => some.filter(({ by }) => by[0] === String(id)).length
      for (const { vc } of some) vc.doIoClose()
      await eventually(() => has([10, 10 - of(ids[1]), 10 - of(ids[2])]), 'the others know')
      const { [ids[1]]: second = 0, [ids[2]]: third = 0 } = tally(await clients(world, address, 13))
      expect([second, third]).toEqual([of(ids[1]), of(ids[2])])
    })

    test('a function: what it answers, and undefined is the handler of listen()', async () => {
      const { world } = box
      const workers = await greeters(world, 2)
      const ids = workers.map((w) => w.threadId).sort((a, b) => a - b)
      await world.worker('asked()') // attached, but it has not registered
      const seen: WorkerInfo[][] = []
      let calls = 0
      const choose = (vc: VConnection, list: WorkerInfo[]) => {
        expect(vc.remoteAddress).toMatch(/^tcp:/)
        seen.push([...list].sort((a, b) => a.threadId - b.threadId))
        return [ids[0], ids[1], undefined][calls++ % 3]
      }
      const address = await listen(world, { distribute: choose })
      expect(tally(await clients(world, address, 30))).toEqual({ ...equally(workers, 10), own: 10 })
      expect(calls).toBe(30)
      const each = (n: number) => ({ threadId: ids[n], registered: true })
      for (const list of seen) {
        expect(list).toMatchObject([each(0), each(1)])
      }
    })

    test('nobody has registered: the handler of listen(); it does not ask the function', async () => {
      const { world } = box
      const never = () => expect.fail('asked')
      for (const distribute of ['round-robin', 'least-connections', 'random', never] as const) {
        const address = await listen(world, { distribute })
        expect(tally(await clients(world, address, 5))).toEqual({ own: 5 })
      }
      const [worker] = await greeters(world, 1)
      const address = await listen(world, { distribute: 'round-robin' })
      expect(tally(await clients(world, address, 5))).toEqual(equally([worker], 5))
      const left = heard(worker, (m) => m === 'left')
      worker.postMessage('leave')
      await left
      expect(tally(await clients(world, address, 5))).toEqual({ own: 5 })
    })

    test.each(['round-robin', 'least-connections', 'random'] as const)(
      '%s: without the option, or for this thread: its own register() handler',
      async (distribute) => {
        const { world } = box
        world.reactor.register((vc) => {
          vc.write(`${String(here)}\n`)
          vc.doIoRead(() => vc.doIoClose(), Infinity, world.buffer())
        })
        const plain = await listen(world, {})
        expect(tally(await clients(world, plain, 5))).toEqual({ own: 5 })
        const spread = await listen(world, { distribute })
        expect(tally(await clients(world, spread, 5))).toEqual({ [here]: 5 })
        world.reactor.unregister()
      },
    )

    const spread: Distribute[] = [
      'round-robin',
      'least-connections',
      'random',
      (_, list) => list.at(-1)!.threadId,
    ]
    test.each(spread)(
      'a worker that unregisters in a storm keeps what it has, gets no more, loses none: %s',
      async (distribute) => {
        const { world } = box
        const workers = await greeters(world, 2)
        const address = await listen(world, { distribute })
        const storm = clients(world, address, 150)
        const left = heard(workers[1], (m) => m === 'left')
        workers[1].postMessage('leave')
        await left
        const early = await storm
        const counts = tally(early)
        expect(Object.values(counts).reduce((a, b) => a + b)).toBe(150)
        // A chooser may name the one that has just gone: then the own handler gets it.
        if (typeof distribute === 'string') expect(counts['own']).toBeUndefined()
        expect(tally(await clients(world, address, 20))).toEqual(equally([workers[0]], 20))
        // What it had before, it still serves.
        const of = (worker: Worker) => early.find((c) => c.by[0] === String(worker.threadId))
        const { vc, by } = of(workers[1]) ?? of(workers[0])!
        vc.write('again\n')
        await eventually(() => by.length === 2, 'echoed')
      },
    )

    test.each([...spread, undefined])(
      'the timeouts of listen() hold wherever a connection goes, and those of the worker otherwise: %s',
      async (distribute) => {
        const { world } = box
        const worker = await world.worker(`
          reactor.register((vc) => {
            vc.write(vc.inactivityTimeout + ' ' + vc.activeTimeout + '\\n')
            read(vc, () => {})
          })`)
        const own = (vc: VConnection) =>
          distribute
            ? vc.doIoClose()
            : vc.assign(worker.threadId) /* as the handler of listen() may */
        const seen = async (options: ListenOptions) => {
          const all = { ...options, ...(distribute && { distribute }) }
          const listener = await world.reactor.listen('tcp://127.0.0.1:0', own, all)
          const vc = await world.client.connect(listener.addresses[0])
          const said = lines(world, vc)
          await eventually(() => said.length > 0, 'answered')
          return said[0]
        }
        expect(await seen({ inactivityTimeout: 50_000, activeTimeout: 60_000 })).toBe('50000 60000')
        expect(await seen({ activeTimeout: 70_000 })).toBe('0 70000')
        expect(await seen({})).toBe('0 0')
      },
    )

    test('a worker that is terminated in a storm: each is answered once, or ended', async () => {
      const { world } = box
      const workers = await greeters(world, 3)
      for (const distribute of spread) {
        const address = await listen(world, { distribute })
        const victim = (await greeters(world, 1))[0]
        const texts = await Promise.all(
          Array.from({ length: 100 }, async (_, i) => {
            const vc = await world.client.connect(address)
            if (i === 40) void victim.terminate()
            return new Promise<string>((resolve) => {
              const [buffer, reader] = world.pipe()
              vc.doIoRead(() => resolve(reader.read().toString('latin1')), Infinity, buffer)
            })
          }),
        )
        // A chooser may name the one that has just gone: then the own handler gets it.
        const answers = typeof distribute === 'function' ? /^((\d+|own)\n)?$/ : /^(\d+\n)?$/
        expect(texts.filter((text) => !answers.test(text))).toEqual([])
        // Only the victim's are ended: those who stay answer theirs. (The chooser names the victim.)
        if (typeof distribute === 'string') {
          const answered = texts.filter((text) => text !== '').map((text) => text.trim())
          const stay = workers.map((w) => String(w.threadId))
          expect([...new Set(answered)]).toEqual(expect.arrayContaining(stay))
          if (distribute === 'round-robin') expect(answered.length).toBeGreaterThanOrEqual(75)
        }
        await victim.terminate()
        expect(tally(await clients(world, address, 6))['own']).toBeUndefined()
      }
      expect(
        infos(
          world,
          workers.map((w) => w.threadId),
        ).length,
      ).toBe(3)
    })
  })
})

describe('workers()', () => {
  const box = useSharedWorld(1)

  test('who is attached, what each has, who has registered', async () => {
    const { world } = box
    const mine = () => world.reactor.workers().find((w) => w.threadId === here)
    expect(mine()).toEqual({ threadId: here, connections: 0, registered: false })
    const [, server] = await world.pair()
    expect(mine()?.connections).toBe(1)
    world.reactor.register(() => {})
    expect(mine()?.registered).toBe(true)
    const worker = await world.worker('reactor.register(() => tell("has it")); asked()')
    const has = heard(worker, (m) => m === 'has it')
    server.assign(worker.threadId)
    const { threadId } = worker
    expect(mine()?.connections).toBe(0)
    await has
    expect(infos(world, [threadId])).toEqual([{ threadId, connections: 1, registered: true }])
    await worker.terminate()
    expect(infos(world, [threadId])).toEqual([])
    world.reactor.unregister()
    expect(mine()?.registered).toBe(false)
  })

  test.each(['fair', '', 1, null, {}])('distribute: %j is refused', async (wrong) => {
    const options = { distribute: wrong as never }
    await expect(
      box.world.reactor.listen('tcp://127.0.0.1:0', () => {}, options),
    ).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })
})

// An error of the function is one of a handler: uncaught, and the connection that nobody has ends.
describe('a function that fails', () => {
  const script = (choose: string) => `
    import { Worker } from 'node:worker_threads'
    const reactor = Reactor.shared()
    const worker = new Worker(\`import('netvc').then(async ({ Reactor }) => {
      const { parentPort } = await import('node:worker_threads')
      Reactor.shared().register((vc) => vc.write('worker'))
      parentPort.postMessage('ready')
    })\`, { eval: true })
    await new Promise((resolve) => worker.once('message', resolve))
    const gone = new Worker('', { eval: true }), { threadId } = gone
    await new Promise((resolve) => gone.once('exit', resolve))
    const errors = []
    process.on('uncaughtException', (error) => errors.push(error.code ?? error.message))
    const own = []
    const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => { own.push(vc); vc.write('own') },
      { distribute: (vc, workers) => { ${choose} } })
    const client = new Reactor()
    const answers = await Promise.all([1, 2, 3].map(async () => {
      const vc = await client.connect(listener.addresses[0])
      return new Promise((resolve) => {
        const buffer = new MIOBuffer(), reader = buffer.allocReader()
        vc.doIoRead((event) => resolve(reader.read().toString() || VCEvent[event]), Infinity, buffer)
      })
    }))
    console.log(JSON.stringify({ errors, answers, left: reactor.stats().open - own.length }))
    process.exit(0)`

  const cases: Record<string, [string, string[], string]> = {
    throws: ["throw new Error('mine')", ['mine', 'mine', 'mine'], 'EOS'],
    'answers a string': ["return '1'", Array<string>(3).fill('ERR_INVALID_ARG_TYPE'), 'EOS'],
    'answers null': ['return null', Array<string>(3).fill('ERR_INVALID_ARG_TYPE'), 'EOS'],
    'answers -1': ['return -1', Array<string>(3).fill('ERR_OUT_OF_RANGE'), 'EOS'],
    'answers with who never was': ['return 999999', [], 'own'],
    'answers with who has gone': ['return threadId', [], 'own'],
    'answers with a thread that did not register': ['return 0', [], 'own'],
  }
  test.each(Object.entries(cases))('%s', async (_, [choose, errors, answer]) => {
    const { stdout, ...rest } = await runChild(script(choose))
    expect(rest).toMatchObject(endsWell)
    const told = JSON.parse(stdout) as { errors: string[]; answers: string[] }
    expect(told).toMatchObject({ errors, answers: [answer, answer, answer] })
  })
})
