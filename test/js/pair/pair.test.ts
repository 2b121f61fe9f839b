import { once } from 'node:events'
import { connect } from 'node:net'
import { type MIOBuffer, Reactor, tunnel, VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

describe('reactor.pair()', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('two ends, connections like any others (PV-1, F-097)', async () => {
      const { world } = box
      const [active, passive] = world.reactor.pair()
      expect(world.reactor.connections().map(({ id, direction }) => [id, direction])).toEqual(
        expect.arrayContaining([
          [active.id, 'out'],
          [passive.id, 'in'],
        ]),
      )
      const { stream, recorder } = world.check(passive)
      active.write(pattern(100_000))
      active.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(100_000)
      expect(Reactor.address(passive.id)).toBe(passive)
    })

    test('an acceptor gets the passive end, not on the stack of the caller (PV-2, F-098)', async () => {
      const { world } = box
      let passive: VConnection | undefined
      const active = world.reactor.pair((vc) => (passive = vc), { tag: 'mine' })
      expect(passive).toBeUndefined()
      await eventually(() => passive !== undefined, 'accepted')
      expect(active.pair).toEqual({
        side: 'active',
        tag: 'mine',
        tagId: 0,
        internal: false,
        peer: passive!.id,
      })
    })

    test('what is sent before the other end is armed waits there; 32 KiB are in between (PV-26)', async () => {
      const { world } = box
      const [active, passive] = world.reactor.pair()
      const [buffer, reader] = world.pipe()
      buffer.write(pattern(100_000))
      const writing = new Recorder()
      active.doIoWrite(writing.handler, Infinity, reader)
      await eventually(() => active.inspect()!.write.ndone === 32768, 'the core is full')
      expect(reader.readAvail).toBe(100_000 - 32768)
      const { stream } = world.check(passive)
      await eventually(() => stream.count === 100_000, 'all is there')
    })

    test('a core of another size (PV-32)', async () => {
      const { world } = box
      const [active] = world.reactor.pair({ size: 1000 })
      active.doIoWrite(() => {}, Infinity, world.filled(pattern(5000)))
      await eventually(() => active.inspect()!.write.ndone === 1000, 'the core is full')
    })

    test('shutdown wakes an idle peer, both ways (PV-22, B-27, F-110)', async () => {
      const { world } = box
      const [active, passive] = world.reactor.pair()
      const { recorder } = world.check(passive)
      const [, empty] = world.pipe()
      const writing = new Recorder()
      passive.doIoWrite(writing.handler, Infinity, empty)
      await writing.until(VCEvent.WRITE_READY)
      active.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      active.doIoShutdown('read')
      expect(await writing.end()).toBe('ERROR')
      expect(passive.error?.code).toBe('EPIPE')
    })

    test('close: the peer reads what was sent, then EOS; its writer fails (PV-23, B-62, F-111)', async () => {
      const { world } = box
      const [active, passive] = world.reactor.pair()
      active.write(pattern(1000))
      active.doIoClose()
      const { stream, recorder } = world.check(passive)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(1000)
      await expect(passive.write('x', { completion: true })).rejects.toMatchObject({
        code: 'EPIPE',
      })
    })

    test('a reset is ECONNRESET for the peer', async () => {
      const { world } = box
      const [active, passive] = world.reactor.pair()
      const { recorder } = world.check(passive)
      active.closeWithReset()
      expect(await recorder.end()).toBe('EOS')
      expect(passive.error?.code).toBe('ECONNRESET')
    })

    test('inactivity is told to one side, the reader first (PV-24, F-112)', async () => {
      const { world } = box
      const [active] = world.reactor.pair()
      const reading = new Recorder()
      const writing = new Recorder()
      active.doIoRead(reading.handler, Infinity, world.buffer())
      active.doIoWrite(writing.handler, Infinity, world.pipe()[1])
      active.setInactivityTimeout(20)
      await reading.until(VCEvent.INACTIVITY_TIMEOUT)
      active.setActiveTimeout(20)
      await reading.until(VCEvent.ACTIVE_TIMEOUT)
      expect(writing.names.filter((name) => name.includes('TIMEOUT'))).toEqual([])
    })

    test('addresses, tag, id and mark (PV-25, F-113, F-114)', () => {
      const { world } = box
      const [active, passive] = world.reactor.pair({
        activeAddress: 'tcp://192.0.2.1:80',
        passiveAddress: 'unix:///run/x',
        tag: 'plugin',
        tagId: 7,
        internal: true,
      })
      expect([active.localAddress, active.remoteAddress]).toEqual([
        'tcp://192.0.2.1:80',
        'unix:///run/x',
      ])
      expect([passive.localHost, passive.remoteHost, passive.remotePort]).toEqual([
        '/run/x',
        '192.0.2.1',
        80,
      ])
      expect(passive.pair).toEqual({
        side: 'passive',
        tag: 'plugin',
        tagId: 7,
        internal: true,
        peer: active.id,
      })
      const [nameless] = world.reactor.pair()
      expect([nameless.remoteAddress, nameless.remoteHost, nameless.remotePort]).toEqual([
        '',
        '',
        0,
      ])
    })

    test('local and remote data: each end sees what the other one has set (PV-25, F-113)', async () => {
      const { world } = box
      const [active, passive] = world.reactor.pair({ passiveThread: Math.min(1, threads) })
      expect([active.getData('local'), active.getData('remote')]).toEqual([undefined, undefined])
      const value = { route: 'a', ids: [1n, new Date(5)], bytes: new Uint8Array([1, 2]) }
      expect(active.setData('local', value)).toBe(true)
      expect(active.setData('remote', 'theirs')).toBe(true)
      expect(active.setData('readVio', 1)).toBe(false)
      value.route = 'changed later'
      const seen = { route: 'a', ids: [1n, new Date(5)], bytes: new Uint8Array([1, 2]) }
      expect(passive.getData('remote')).toEqual(seen)
      expect(passive.getData('local')).toBe('theirs')
      passive.setData('local', null)
      expect(active.getData('remote')).toBeNull()
      active.doIoClose()
      expect(active.getData('local')).toBeUndefined()
      expect(passive.getData('remote')).toEqual(seen) // until it is gone too (PV-30)
      passive.setData('remote', undefined)
      expect(passive.getData('remote')).toBeUndefined()
    })

    test('what has no meaning without a socket does nothing (PV-25, KQ-5)', async () => {
      const { world } = box
      const [active] = world.reactor.pair()
      active.setSocketOptions({ noDelay: true, congestionControl: 'reno' })
      expect(active.tcpInfo()).toBeUndefined()
      expect(active.inspect()?.fd).toBe(-1)
      active.addToKeepAliveQueue()
      expect(world.reactor.connections().map(({ queue }) => queue)).toEqual([undefined, undefined])
      await expect(active.sendOOB('x')).rejects.toMatchObject({ code: 'EOPNOTSUPP' })
      const [socket] = await world.pair('tcp://127.0.0.1:0')
      expect(socket.pair).toBeUndefined()
    })

    test('a tunnel joins an end to a socket; half-close goes through (F-116)', async () => {
      const { world } = box
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => {
        tunnel(
          vc,
          world.reactor.pair((end) => echo(end, world.buffer())),
        )
      })
      const client = connect(Number(/\d+$/.exec(listener.addresses[0])![0]), '127.0.0.1')
      const stream = new PatternChecker()
      client.on('data', (bytes) => stream.take(bytes))
      for (let i = 0; i < 20; i++) client.write(pattern(50_000, i * 50_000))
      client.end()
      await once(client, 'close')
      expect(stream.count).toBe(1_000_000)
    })

    test('a thousand pairs, made and closed with bytes in them (PV-30)', async () => {
      const { world } = box
      for (let i = 0; i < 1000; i++) {
        const [active, passive] = world.reactor.pair()
        if (i % 3) active.write(pattern(i))
        if (i % 2) active.doIoClose()
        passive.doIoClose()
        active.doIoClose()
      }
      await eventually(() => world.reactor.stats().open === 0, 'all are gone')
    })

    test.runIf(threads > 1)(
      'ends on different net threads, and moved (PV-29, MG-1, F-115)',
      async () => {
        const { world } = box
        const [active, passive] = world.reactor.pair({ activeThread: 0, passiveThread: 1 })
        expect([active.inspect()?.thread, passive.inspect()?.thread]).toEqual([0, 1])
        active.write(pattern(500_000))
        await passive.migrate(0)
        expect(passive.inspect()?.thread).toBe(0)
        await active.migrate(1)
        const { stream } = world.check(passive)
        active.write(pattern(500_000, 500_000))
        await eventually(() => stream.count === 1_000_000, 'all is there')
      },
    )

    test('arguments', async () => {
      const { world } = box
      const { reactor } = world
      const bad: [object, string][] = [
        [{ size: 0 }, 'ERR_OUT_OF_RANGE'],
        [{ size: 'x' }, 'ERR_INVALID_ARG_TYPE'],
        [{ activeThread: 2 }, 'ERR_OUT_OF_RANGE'],
        [{ passiveThread: -1 }, 'ERR_OUT_OF_RANGE'],
        [{ activeAddress: 'nonsense' }, 'ERR_INVALID_ADDRESS'],
        [{ passiveAddress: 'tcp://a.name:1' }, 'EINVAL'],
        [{ tag: 7 }, 'ERR_INVALID_ARG_TYPE'],
        [{ nonsense: 1 }, 'ERR_INVALID_ARG_VALUE'],
      ]
      for (const [options, code] of bad) {
        expect(() => reactor.pair(options), JSON.stringify(options)).toThrow(
          expect.objectContaining({ code }) as Error,
        )
      }
      expect(reactor.connections()).toEqual([])
      const closed = world.another()
      await closed.close()
      expect(() => closed.pair()).toThrow(
        expect.objectContaining({ code: 'ERR_REACTOR_CLOSED' }) as Error,
      )
    })
  })
})

/** Answers what it reads, until the end. */
function echo(vc: VConnection, buffer: MIOBuffer): void {
  const reader = buffer.allocReader()
  vc.doIoRead(
    (event) => {
      if (reader.readAvail > 0) vc.write(reader.read())
      if (event !== VCEvent.READ_READY) vc.doIoClose()
    },
    Infinity,
    buffer,
  )
}
