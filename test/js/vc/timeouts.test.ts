import { MIOBuffer, Reactor, tunnel, VCEvent, type VConnection, type VIO } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, onPairs, type World, useWorld } from '../support/fixture.js'
import { code } from '../write/told.js'

const short = 20

/** Writes down the timeouts that it is told, and when. */
class Told {
  readonly events: string[] = []
  at = 0
  also: (event: VCEvent) => void = () => {}
  readonly handler = (event: VCEvent, vio: VIO): void => {
    if (event !== VCEvent.INACTIVITY_TIMEOUT && event !== VCEvent.ACTIVE_TIMEOUT) return
    this.events.push(`${VCEvent[event]} ${vio.side === 0 ? 'read' : 'write'}`)
    this.at = performance.now()
    this.also(event)
  }
}

function read(world: World, vc: VConnection, told: Told): VIO {
  return vc.doIoRead(told.handler, Infinity, world.buffer())
}
function write(world: World, vc: VConnection, told: Told): VIO {
  return vc.doIoWrite(told.handler, Infinity, world.pipe()[1])
}
/** Another connection's timeout, as a clock: what was due before has been told. */
async function inVain(world: World): Promise<void> {
  const [clock] = await world.pair()
  const told = new Told()
  read(world, clock, told)
  clock.setActiveTimeout(3 * short)
  await eventually(() => told.events.length > 0, 'the clock')
}

describe('timeouts of a connection', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(['Inactivity', 'Active'] as const)(
      'set%sTimeout: once, and not early (TO-1, TO-10, INV-14)',
      async (kind) => {
        const { world } = box
        const [client] = await world.pair()
        const told = new Told()
        read(world, client, told)
        const start = performance.now()
        client[`set${kind}Timeout`](short)
        await eventually(() => told.events.length > 0, 'told')
        expect(told.at - start).toBeGreaterThanOrEqual(short)
        await inVain(world)
        expect(told.events).toEqual([`${kind.toUpperCase()}_TIMEOUT read`])
        expect(client.closed).toBe(false)
        expect([client.inactivityTimeout, client.activeTimeout]).toEqual(
          kind === 'Active' ? [0, short] : [short, 0],
        )
      },
    )

    // Nothing happens beside a busy JavaScript thread on the inline engine.
    test.runIf(threads > 0)(
      'bytes that came after a timeout are told after it, in one batch too (INV-5, INV-14)',
      async () => {
        const { world } = box
        const [client, server] = await world.pair()
        const told: string[] = []
        const buffer = world.buffer()
        server.doIoRead(
          (event, vio) => told.push(`${VCEvent[event]} ${String(vio.ndone)}`),
          9,
          buffer,
        )
        const until = (test: () => boolean) => {
          const limit = Date.now() + 10_000
          while (!test()) if (Date.now() > limit) throw new Error('never happened')
        }
        const events = () => world.reactor.stats().events
        // In one turn of the loop, which sees all of it as one batch.
        client.write('a', {})
        until(() => server.inspect()?.bytesIn === 1)
        const before = events()
        server.setInactivityTimeout(short)
        until(() => events() > before)
        client.write('b', {})
        until(() => server.inspect()?.bytesIn === 2)
        await eventually(() => told.length > 2, 'all is told')
        const first = told.slice(0, 3) // it may have come once more since
        expect(first).toEqual(['READ_READY 1', 'INACTIVITY_TIMEOUT 1', 'READ_READY 2'])
      },
    )

    test('traffic starts inactivity anew, and the active one comes all the same (TO-6, B-76)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const told = new Told()
      const [buffer, reader] = world.pipe()
      client.doIoRead(
        (event, vio) => {
          reader.consume(reader.readAvail)
          told.handler(event, vio)
        },
        Infinity,
        buffer,
      )
      client.setInactivityTimeout(25 * short)
      client.setActiveTimeout(50 * short)
      const timer = setInterval(() => server.write('x'), 2)
      await eventually(() => told.events.length > 0, 'told')
      clearInterval(timer)
      expect(told.events).toEqual(['ACTIVE_TIMEOUT read'])
    })

    test.skipIf(onPairs)(
      'a handler of both operations is told once; different ones both, the reader first (TO-8, TO-9)',
      async () => {
        const { world } = box
        const [one, two] = await world.pair()
        const both = new Told()
        read(world, one, both)
        write(world, one, both)
        const order: string[] = []
        const [reader, writer] = [new Told(), new Told()]
        reader.also = () => order.push('reader')
        writer.also = () => order.push('writer')
        read(world, two, reader)
        write(world, two, writer)
        one.setActiveTimeout(1)
        two.setInactivityTimeout(1)
        await eventually(() => order.length === 2 && both.events.length > 0, 'told')
        await inVain(world)
        expect(both.events).toEqual(['ACTIVE_TIMEOUT read'])
        expect(order.slice(0, 2)).toEqual(['reader', 'writer'])
      },
    )

    test.each(['closes', 'sets it again', 'replaces the writer'])(
      'the writer is not told when the reader %s (TO-8)',
      async (what) => {
        const { world } = box
        const [client] = await world.pair()
        const [reader, writer, third] = [new Told(), new Told(), new Told()]
        reader.also = () => {
          if (what === 'closes') client.doIoClose()
          else if (what === 'sets it again') client.setActiveTimeout(1_000_000)
          else write(world, client, third)
        }
        read(world, client, reader)
        write(world, client, writer)
        client.setActiveTimeout(1)
        await eventually(() => reader.events.length > 0, 'told')
        await inVain(world)
        expect(reader.events.length).toBe(1)
        expect([...writer.events, ...third.events]).toEqual([])
      },
    )

    test('0 and cancel: nothing comes, also when it is due already (TO-2)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const told = new Told()
      read(world, client, told)
      read(world, server, told)
      client.setInactivityTimeout(1)
      server.setActiveTimeout(1)
      const until = performance.now() + 5
      while (performance.now() < until);
      client.setInactivityTimeout(0)
      server.cancelActiveTimeout()
      await inVain(world)
      expect(told.events).toEqual([])
      expect([client.inactivityTimeout, server.activeTimeout]).toEqual([0, 0])
      client.cancelInactivityTimeout()
    })

    test('with no operation nobody is told, and nothing is closed (TO-9)', async () => {
      const { world } = box
      const [client] = await world.pair()
      client.setInactivityTimeout(1)
      client.setActiveTimeout(1)
      await inVain(world)
      expect(client.closed).toBe(false)
    })

    test('a peer that takes nothing is inactive, though our reader waits for room (TO-7)', async () => {
      const { world } = box
      const [client] = await world.pair('tcp://127.0.0.1:0')
      const told = new Told()
      read(world, client, told)
      while (client.write('x'.repeat(100_000)));
      client.setInactivityTimeout(short)
      await eventually(() => told.events.length > 0, 'told')
      expect(told.events[0]).toBe('INACTIVITY_TIMEOUT read')
    })

    test('closing inside the handler ends it (TO-14)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const told = new Told()
      told.also = () => client.doIoClose()
      read(world, client, told)
      client.setInactivityTimeout(1)
      client.setActiveTimeout(1)
      const { recorder } = world.check(server)
      expect(await recorder.end()).toBe('EOS')
      expect(told.events.length).toBe(1)
      expect(() => client.setActiveTimeout(1)).toThrow(
        expect.objectContaining({ code: 'ERR_VC_CLOSED' }),
      )
      client.cancelActiveTimeout()
    })

    test('the connection has those of its listener, its connect, or the reactor', async () => {
      const { world } = box
      const reactor = new Reactor({ threads, inactivityTimeout: 5000, activeTimeout: 6000 })
      world.reactors.push(reactor)
      const accepted: VConnection[] = []
      const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => accepted.push(vc), {
        inactivityTimeout: 7000,
        activeTimeout: 0,
      })
      const one = await reactor.connect(listener.addresses[0])
      const two = await reactor.connect(listener.addresses[0], { activeTimeout: 8000 })
      await eventually(() => accepted.length === 2, 'accepted')
      const of = (vc: VConnection) => [vc.inactivityTimeout, vc.activeTimeout]
      expect([...accepted, one, two].map(of)).toEqual([
        [7000, 0],
        [7000, 0],
        [5000, 6000],
        [5000, 8000],
      ])
    })

    test('TO-11: the default of the reactor is told to who has set none, and to nobody else', async () => {
      const { world } = box
      const reactor = new Reactor({ threads, inactivityTimeout: short })
      world.reactors.push(reactor)
      const accepted: VConnection[] = []
      const { addresses } = await reactor.listen('tcp://127.0.0.1:0', (vc) => accepted.push(vc))
      const set = await reactor.connect(addresses[0], { inactivityTimeout: 3_600_000 })
      const cancelled = await reactor.connect(addresses[0])
      const plain = await reactor.connect(addresses[0])
      await eventually(() => accepted.length === 3, 'accepted')
      cancelled.cancelInactivityTimeout()
      const all = [plain, ...accepted, set, cancelled].map((vc) => {
        const told = new Told()
        read(world, vc, told)
        return told
      })
      const enabled = performance.now()
      await eventually(() => all.slice(0, 4).every((told) => told.events.length > 0), 'told')
      await inVain(world)
      const one = ['INACTIVITY_TIMEOUT read']
      expect(all.map((told) => told.events)).toEqual([one, one, one, one, [], []])
      for (const told of all.slice(0, 4)) expect(told.at).toBeGreaterThan(enabled)
    })

    test('AP-5 F-154: idleTimeout of a listener fails who is idle, armed, not armed, tunneled', async () => {
      const { world } = box
      const accepted: VConnection[] = []
      const listener = await world.reactor.listen(
        'tcp://127.0.0.1:0',
        (vc) => void accepted.push(vc),
        { idleTimeout: 40 },
      )
      const connect = () => world.reactor.connect(listener.addresses[0])
      await connect()
      await eventually(() => accepted.length === 1, 'accepted')
      const ends = world.check(accepted[0]).recorder.end()
      await connect()
      await eventually(() => accepted.length === 2, 'accepted')
      const [far] = await world.pair()
      await connect()
      await eventually(() => accepted.length === 3, 'accepted')
      const joined = tunnel(accepted[2], far)
      expect(await ends).toBe('ERROR')
      expect(accepted[0].error?.code).toBe('EUNUSED')
      await eventually(() => accepted[1].closed, 'nothing was armed')
      expect(accepted[1].error?.code).toBe('EUNUSED')
      expect(await joined.closed).toMatchObject({ reason: 'error', error: { code: 'EUNUSED' } })
      accepted[0].doIoClose()
    })

    test('wrong arguments', async () => {
      const [client] = await box.world.pair()
      for (const wrong of [-1, 1.5, NaN, Infinity, 2 ** 31, '1', null, undefined]) {
        expect(code(() => client.setInactivityTimeout(wrong as never))).toMatch(
          /^ERR_(OUT|INVALID)/,
        )
        expect(code(() => client.setActiveTimeout(wrong as never))).toMatch(/^ERR_(OUT|INVALID)/)
      }
      expect(code(() => new Reactor({ inactivityTimeout: -1 }))).toBe('ERR_OUT_OF_RANGE')
      expect(client.inactivityTimeout).toBe(0)
    })

    test('a buffer that is freed, and a process that ends, do not mind', async () => {
      const { world } = box
      const [client] = await world.pair()
      const buffer = new MIOBuffer()
      client.doIoRead(() => {}, Infinity, buffer)
      client.setInactivityTimeout(1)
      buffer.free()
      client.doIoClose()
      await inVain(world)
    })
  })
})
