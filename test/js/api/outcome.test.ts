import { Worker } from 'node:worker_threads'
import { NetvcError, Reactor, tunnel, type VCHandle, type VConnection } from 'netvc'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { engines } from '../support/engines.js'
import { eventually, turn, useWorld, type World } from '../support/fixture.js'
import { useSilentAddress } from '../support/silent.js'

// Every request has exactly one outcome, whatever ends it, wherever it is (INV-10, INV-27).

interface Pending {
  id: bigint
  outcome: Promise<unknown>
  /** Who has the connection; nobody while it is being connected. */
  vc?: VConnection
}

const dist = new URL('../../../dist/index.js', import.meta.url).href

/** A connection that has more to send than the kernel takes. */
async function held(world: World): Promise<VConnection> {
  const [vc] = await world.pair('tcp://127.0.0.1:0')
  vc.write(Buffer.alloc(16 * 1024 * 1024))
  return vc
}

const steps: Record<string, (world: World, silent: string) => Promise<Pending>> = {
  connect: async ({ reactor }, silent) => {
    const before = new Set(reactor.connections().map((row) => row.id))
    const outcome = reactor.connect(silent, { timeout: 0 })
    const added = () => reactor.connections().find((row) => !before.has(row.id))
    await eventually(() => added() !== undefined, 'it is connecting')
    return { id: added()!.id, outcome }
  },
  'completion of a write': async (world) => {
    const vc = await held(world)
    return { id: vc.id, vc, outcome: vc.write('x', { completion: true }) }
  },
  'completion of a write with a timeout': async (world) => {
    const vc = await held(world)
    return { id: vc.id, vc, outcome: vc.write('x', { completion: true, timeout: 3_600_000 }) }
  },
  'a loop over a connection': async (world) => {
    const [vc] = await world.pair()
    return { id: vc.id, vc, outcome: vc[Symbol.asyncIterator]().next() }
  },
  'a read of vc.readable': async (world) => {
    const [vc] = await world.pair()
    return { id: vc.id, vc, outcome: vc.readable.getReader().read() }
  },
  'a write to vc.writable': async (world) => {
    const vc = await held(world)
    const writer = vc.writable.getWriter()
    void writer.closed.catch(() => {})
    void writer.write(Buffer.alloc(1 << 20)).catch(() => {})
    return { id: vc.id, vc, outcome: writer.write('x') }
  },
  'drained()': async (world) => {
    const vc = await held(world)
    return { id: vc.id, vc, outcome: vc.drained() }
  },
  'sendOOB()': async (world) => {
    const vc = await held(world)
    return { id: vc.id, vc, outcome: vc.sendOOB('x') }
  },
  'migrate()': async (world) => {
    const [vc] = await world.pair()
    return { id: vc.id, vc, outcome: vc.migrate(Math.min(1, world.threads)) }
  },
  'addToActiveQueue()': async (world) => {
    const [vc] = await world.pair()
    return { id: vc.id, vc, outcome: vc.addToActiveQueue() }
  },
  'tunnel()': async (world) => {
    const [vc] = await world.pair()
    const [other] = await world.pair()
    return { id: vc.id, outcome: tunnel(vc, other).closed }
  },
  'onFailed()': async (world) => {
    const [vc] = await world.pair()
    return { id: vc.id, vc, outcome: new Promise((told) => vc.onFailed(told)) }
  },
  'a stream': async (world) => {
    const [vc] = await world.pair()
    const stream = vc.stream().on('error', () => {})
    return { id: vc.id, vc, outcome: new Promise((told) => stream.on('close', told)) }
  },
}

/** Those of a connection; `doIoClose()` alone lets what was written leave first. */
const ends: Record<string, (vc: VCHandle) => unknown> = {
  'doIoClose(errno)': (vc) => vc.doIoClose(104),
  'closeWithReset()': (vc) => vc.closeWithReset(),
  'closeGracefully(0)': (vc) => vc.closeGracefully(0),
  'setFailed()': (vc) => vc.setFailed(Object.assign(new Error('enough'), { code: 'EMINE' })),
}
const whole: Record<string, (reactor: Reactor) => unknown> = {
  'reactor.close()': (reactor) => reactor.close(),
  'reactor.drain()': (reactor) => reactor.drain({ deadline: 0 }),
}

describe('a pending request', () => {
  const silent = useSilentAddress()
  let stranger: Worker
  beforeAll(() => {
    const script = `
      const { parentPort } = require('node:worker_threads')
      import(${JSON.stringify(dist)}).then(({ Reactor }) => {
        const ends = { ${Object.entries(ends)
          .map(([name, end]) => `${JSON.stringify(name)}: ${end.toString()}`)
          .join(', ')} }
        parentPort.on('message', ([id, end]) => {
          const vc = Reactor.address(id)
          if (vc) ends[end](vc)
        })
      })`
    stranger = new Worker(script, { eval: true })
  })
  afterAll(() => stranger.terminate())

  describe.each(engines)('$engine', ({ threads }) => {
    const box = useWorld(threads)

    async function check(start: Promise<Pending>, end: (pending: Pending) => unknown) {
      const pending = await start
      const outcomes: unknown[] = []
      pending.outcome.then(
        (value) => outcomes.push(value),
        (error: unknown) => outcomes.push(error),
      )
      void end(pending)
      await eventually(() => outcomes.length > 0, 'an outcome')
      await turn()
      expect(outcomes).toHaveLength(1)
      return outcomes[0]
    }

    const cases = Object.keys(steps).flatMap((step) =>
      Object.keys(ends).map((end) => [step, end] as const),
    )
    test.each(cases)('%s, then %s: by another thread, and by its owner', async (step, end) => {
      const { world } = box
      const byId = await check(steps[step](world, silent.address), ({ id }) => {
        stranger.postMessage([id, end])
      })
      const own = await check(steps[step](world, silent.address), ({ id, vc }) => {
        const handle = vc ?? Reactor.address(id)
        if (handle) ends[end](handle)
      })
      for (const outcome of step === 'connect' ? [byId, own] : []) {
        expect(outcome).toBeInstanceOf(NetvcError)
        expect((outcome as NetvcError).code).toBe(end === 'setFailed()' ? 'EMINE' : 'ERR_VC_CLOSED')
      }
    })

    test.each(Object.keys(steps))('%s: the reactor closes, or drains', async (step) => {
      for (const [name, end] of Object.entries(whole)) {
        const world = Object.create(box.world) as World
        const reactor = box.world.another()
        Object.defineProperty(world, 'reactor', { value: reactor })
        const outcome = await check(steps[step](world, silent.address), () => end(reactor))
        if (step === 'connect') expect(outcome, name).toMatchObject({ code: 'ERR_REACTOR_CLOSED' })
      }
    })
  })

  test('a worker that is terminated in the middle of all of them leaves nothing', async () => {
    const before = new Reactor()
    const { connections, blocks } = before.stats()
    const script = `
      const { parentPort, workerData } = require('node:worker_threads')
      import(${JSON.stringify(dist)}).then(async ({ Reactor, tunnel }) => {
        for (const threads of [0, 2]) {
          const reactor = new Reactor({ threads })
          reactor.connect(workerData)
          const [a, b] = reactor.pair(), [c, d] = reactor.pair()
          a.write(Buffer.alloc(1_000_000)), a.write('x', { completion: true }), a.drained()
          tunnel(b, c)
          reactor.pair()[0].migrate(Math.min(1, threads)), reactor.pair(() => {})
        }
        parentPort.postMessage('ready')
      })`
    const worker = new Worker(script, { eval: true, workerData: silent.address })
    await new Promise((resolve) => worker.once('message', resolve))
    await worker.terminate()
    await eventually(() => before.stats().connections <= connections, 'connections are gone')
    await eventually(() => before.stats().blocks <= blocks, 'blocks are free')
    await before.close()
  })
})
