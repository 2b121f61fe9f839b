import { connect as netConnect, type Socket } from 'node:net'
import { Reactor, VCEvent, type AcceptLimit, type ListenOptions, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { unixAddress } from '../support/addresses.js'
import { runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld, type World } from '../support/fixture.js'
import { code } from '../write/told.js'

interface Served {
  accepted: VConnection[]
  address: string
  limited: AcceptLimit[]
  stats: () => { open: number; refused: number; waitsForConnections: number; waitsForRate: number }
}

async function serve(world: World, options: ListenOptions, at = 'tcp://127.0.0.1:0') {
  const served = { accepted: [], limited: [] } as unknown as Served
  const listener = await world.reactor.listen(at, (vc) => void served.accepted.push(vc), {
    ...options,
    onLimited: (limit) => served.limited.push(limit),
  })
  served.address = listener.addresses[0]
  served.stats = () => listener.stats()
  return served
}

describe('limits of a listener', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('maxConnections: what is too much waits, and comes when one has gone (TH-1)', async () => {
      const { world } = box
      const served = await serve(world, { maxConnections: 3 })
      const clients = await Promise.all(
        Array.from({ length: 8 }, () => world.reactor.connect(served.address)),
      )
      await eventually(() => served.limited.length > 0, 'the limit holds')
      expect(served.limited[0]).toBe('connections')
      await eventually(() => served.accepted.length === 3, 'three')
      for (let n = 0; n < 5; n++) {
        expect(served.stats().open).toBe(3)
        served.accepted[n].doIoClose()
        await eventually(() => served.accepted.length === 4 + n, 'the next one')
      }
      expect(served.stats().waitsForConnections).toBeGreaterThan(0)
      for (const vc of [...clients, ...served.accepted]) vc.doIoClose()
      await eventually(() => served.stats().open === 0, 'all are given back')
      const again = await world.reactor.connect(served.address)
      await eventually(() => served.accepted.length === 9, 'accepted')
      again.doIoClose()
    })

    test('as many as may come, and nobody waits: nothing is told', async () => {
      const { world } = box
      const served = await serve(world, { maxConnections: 2 })
      const clients = [1, 2].map(() => world.reactor.connect(served.address))
      await Promise.all(clients)
      await eventually(() => served.accepted.length === 2, 'accepted')
      served.accepted[0].doIoClose()
      await eventually(() => served.stats().open === 1, 'one has gone')
      await world.reactor.connect(served.address)
      await eventually(() => served.accepted.length === 3, 'accepted')
      expect([served.limited, served.stats().waitsForConnections]).toEqual([[], 0])
    })

    test('a peer that leaves while it waits takes no place for long', async () => {
      const { world } = box
      const served = await serve(world, { maxConnections: 1 })
      const first = await world.reactor.connect(served.address)
      await eventually(() => served.accepted.length === 1, 'accepted')
      const second = await world.reactor.connect(served.address)
      second.closeWithReset()
      first.doIoClose()
      served.accepted[0].doIoClose()
      // The kernel may still hand it over: then it has its end.
      const late = new Set<VConnection>()
      await eventually(() => {
        for (const vc of served.accepted.slice(1)) {
          if (late.has(vc)) continue
          late.add(vc)
          vc.doIoRead(() => vc.doIoClose(), Infinity, world.buffer())
        }
        return served.stats().open === 0
      }, 'nobody is left')
    })

    test('one newcomer at the throttle, while JavaScript is busy, costs one that idles (TH-1, KQ-4)', async () => {
      const { world } = box
      const told: VConnection[] = []
      const accepted: VConnection[] = []
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => {
        accepted.push(vc)
        const [buffer] = world.pipe()
        const end = (event: VCEvent) => {
          if (event === VCEvent.INACTIVITY_TIMEOUT) told.push(vc)
          if (event !== VCEvent.READ_READY) vc.doIoClose()
        }
        vc.doIoRead(end, Infinity, buffer)
        vc.addToKeepAliveQueue()
      })
      const address = listener.addresses[0]
      const other = world.another()
      for (let i = 0; i < 30; i++) await other.connect(address)
      await eventually(() => accepted.length === 30, 'accepted')
      const newcomer = netConnect(Number(address.split(':').pop()), '127.0.0.1')
      // Accepting keeps a tenth for connects: it waits from here on, and connects still may come.
      Reactor.setThrottle(Math.ceil(Reactor.throttle().open * 1.1) - 1)
      try {
        await new Promise((resolve) => newcomer.once('connect', resolve))
        const busy = performance.now() + 300
        while (performance.now() < busy);
        await eventually(() => accepted.length === 31 || told.length > 1, 'it is accepted')
        expect(told).toHaveLength(1)
        if (threads === 0) expect(told[0]).toBe(accepted[0]) // else of a thread that has one
        expect(world.reactor.stats().keepAliveEvicted).toBe(1)
      } finally {
        Reactor.setThrottle(-1)
        newcomer.destroy()
      }
    })

    test('maxConnectionsPerAddress: more are reset; unix sockets are not counted', async () => {
      const { world } = box
      const served = await serve(world, { maxConnectionsPerAddress: 2 })
      const sockets: Socket[] = []
      const from = (localAddress: string) => {
        const socket = netConnect({
          port: Number(served.address.split(':').pop()),
          host: '127.0.0.1',
          localAddress,
        })
        sockets.push(socket)
        return new Promise<string | undefined>((resolve) => {
          socket.once('data', () => resolve('served'))
          socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
        })
      }
      const greet = setInterval(() => {
        for (const vc of served.accepted) if (!vc.closed) vc.write('hello')
      }, 2)
      const results = []
      for (const address of ['127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.2', '127.0.0.2'])
        results.push(await from(address))
      expect(results).toEqual(['served', 'served', 'ECONNRESET', 'served', 'served'])
      expect(served.stats()).toMatchObject({ open: 4, refused: 1 })
      await eventually(() => served.limited.length > 0, 'told')
      expect(new Set(served.limited)).toEqual(new Set(['address']))
      served.accepted[0].doIoClose()
      await eventually(() => served.stats().open === 3, 'one has gone')
      expect(await from('127.0.0.1')).toBe('served')
      clearInterval(greet)
      for (const socket of sockets) socket.destroy()

      const local = await serve(world, { maxConnectionsPerAddress: 1 }, unixAddress())
      await Promise.all([1, 2, 3].map(() => world.reactor.connect(local.address)))
      await eventually(() => local.accepted.length === 3, 'all')
    })

    test('acceptRate: a tenth at once, the rest in its time, none is lost', async () => {
      const { world } = box
      const served = await serve(world, { acceptRate: 100 })
      const start = performance.now()
      const clients = await Promise.all(
        Array.from({ length: 30 }, () => world.reactor.connect(served.address)),
      )
      await eventually(() => served.accepted.length === 30, 'all')
      expect(performance.now() - start).toBeGreaterThan(180) // (30 - 11) / 100 s
      expect(new Set(served.limited)).toEqual(new Set(['rate'])) // again after each second
      expect(served.stats().waitsForRate).toBeGreaterThan(0)
      for (const vc of clients) vc.doIoClose()
    })

    test('of a reactor: all its listeners together', async () => {
      const { world } = box
      const reactor = new Reactor({ threads, maxConnections: 3 })
      world.reactors.push(reactor)
      const accepted: VConnection[] = []
      const listeners = await Promise.all(
        [1, 2].map(() => reactor.listen('tcp://127.0.0.1:0', (vc) => void accepted.push(vc))),
      )
      const clients: VConnection[] = []
      for (let i = 0; i < 6; i++) {
        clients.push(await world.reactor.connect(listeners[i % 2].addresses[0]))
      }
      const open = () => listeners.reduce((sum, l) => sum + l.stats().open, 0)
      await eventually(
        () => listeners.some((l) => l.stats().waitsForConnections > 0),
        'the limit holds',
      )
      await eventually(() => accepted.length === 3, 'three')
      expect(open()).toBe(3)
      for (let n = 0; n < 3; n++) {
        accepted[n].doIoClose()
        await eventually(() => accepted.length === 4 + n, 'the next one')
      }
      expect(open()).toBe(3)
      for (const vc of clients) vc.doIoClose()
    })

    test('closing the listener, and the reactor, while it waits (CL-7)', async () => {
      const { world } = box
      const reactor = world.another()
      const accepted: VConnection[] = []
      const limited: AcceptLimit[] = []
      const listeners = await Promise.all(
        ['listener', 'reactor'].map(() =>
          reactor.listen('tcp://127.0.0.1:0', (vc) => void accepted.push(vc), {
            maxConnections: 1,
            onLimited: (limit) => limited.push(limit),
          }),
        ),
      )
      const clients = await Promise.all(
        [0, 0, 0, 1, 1, 1].map((n) => world.reactor.connect(listeners[n].addresses[0])),
      )
      const waits = () => listeners.map((l) => l.stats().waitsForConnections > 0)
      await eventually(() => waits().every(Boolean) && accepted.length === 2, 'the limits hold')
      const ended = Promise.all(clients.map((vc) => world.check(vc).recorder.end()))
      await listeners[0].close()
      await reactor.close()
      // Those that were accepted and those that waited have their end, and nobody came any more.
      expect((await ended).filter((end) => end !== 'EOS' && end !== 'ERROR')).toEqual([])
      expect(accepted.length).toBe(2)
      expect(limited.every((limit) => limit === 'connections')).toBe(true)
    })

    test('without limits nothing is counted; wrong ones are refused', async () => {
      const { world } = box
      const served = await serve(world, {})
      expect(served.stats()).toEqual({
        open: 0,
        refused: 0,
        waitsForConnections: 0,
        waitsForRate: 0,
      })
      for (const name of [
        'maxConnections',
        'maxConnectionsPerAddress',
        'acceptRate',
        'onLimited',
      ]) {
        await expect(
          world.reactor.listen('tcp://127.0.0.1:0', () => {}, { [name]: -1 }),
        ).rejects.toMatchObject({ code: /^ERR_(OUT|INVALID)/ })
      }
      expect(code(() => new Reactor({ maxConnections: 1.5 }))).toBe('ERR_OUT_OF_RANGE')
    })
  })
})

describe('throttle', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('TH-2 TH-4 TH-5: connect fails with ENET_THROTTLING, accepting waits, a backdoor is open', async () => {
      const { world } = box
      const before = Reactor.throttle()
      expect(before).toMatchObject({ emergency: false })
      expect(before.limit).toBeGreaterThan(before.open)
      const served = await serve(world, {})
      const door = await serve(world, { backdoor: true })
      try {
        Reactor.setThrottle(before.open + 4)
        expect(Reactor.throttle().limit).toBe(before.open + 4)
        const sockets: Socket[] = []
        const dial = (to: Served) => {
          const { port } = new URL(to.address)
          sockets.push(netConnect(Number(port), '127.0.0.1').on('error', () => {}))
        }
        for (let n = 0; n < 8; n++) dial(served)
        await eventually(() => served.limited.includes('throttled'), 'throttled')
        // Those accepted before come from other threads, maybe after the news.
        const open = () => before.open + served.accepted.length
        await eventually(() => Math.floor(open() * 1.1) >= before.open + 4, 'at the limit')
        const all = open()
        expect(world.reactor.stats().acceptsThrottled).toBeGreaterThan(0)
        for (let n = 0; n < 6; n++) dial(door)
        await eventually(() => door.accepted.length === 6, 'by the backdoor')
        await expect(world.reactor.connect(door.address)).rejects.toMatchObject({
          code: 'ENET_THROTTLING',
          syscall: 'connect',
          message: expect.stringContaining('Reactor.setThrottle') as string,
        })
        expect(world.reactor.stats().connectsThrottled).toBe(1)
        for (const vc of [...door.accepted, ...served.accepted]) vc.doIoClose()
        await eventually(() => served.accepted.length > all - before.open, 'the next ones')
        for (const socket of sockets) socket.destroy()
      } finally {
        Reactor.setThrottle(-1)
      }
      // Some may still be on their way from the kernel's queue.
      await eventually(() => {
        for (const vc of [...door.accepted, ...served.accepted]) vc.doIoClose()
        return Reactor.throttle().open <= before.open
      }, 'TH-1: all are counted off')
    })

    test('wrong arguments', () => {
      expect(code(() => Reactor.setThrottle('1' as never))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => Reactor.setThrottle(-2))).toBe('ERR_OUT_OF_RANGE')
      expect(code(() => Reactor.setThrottle(0.5))).toBe('ERR_OUT_OF_RANGE')
    })
  })
})

describe('warnings of a shortage', () => {
  test('TH-6: at most one in ten minutes, each time told to the listener', async () => {
    const { stdout, ...rest } = await runChild(
      `
      import { connect } from 'node:net'
      let time = 1000
      performance.now = () => time
      const { Reactor } = await import('netvc')
      const codes = []
      process.on('warning', ({ code }) => codes.push(code))
      const reactor = new Reactor()
      const listen = (onAccept, onLimited) =>
        reactor.listen('tcp://127.0.0.1:0', onAccept, { onLimited })
      const dial = ({ addresses }) => connect(Number(new URL(addresses[0]).port), '127.0.0.1')
      let kept
      await new Promise(async (resolve) => {
        dial(await listen((vc) => resolve((kept = vc)), () => {}))
      })
      Reactor.setThrottle(1) // and one is open
      for (const later of [0, 1, 599_998, 1, 1, 599_999]) {
        time += later
        await new Promise(async (resolve) => dial(await listen(() => {}, resolve)))
        await new Promise(setImmediate)
        console.log(codes.length)
      }
      console.log(...new Set(codes))
      process.exit(0)
      `,
      { bare: true },
    )
    expect(rest).toMatchObject({ code: 0 })
    expect(stdout).toBe('1\n1\n1\n2\n2\n3\nNETVC_THROTTLED\n')
  })
})
