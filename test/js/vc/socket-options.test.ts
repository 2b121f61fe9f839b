import type { SocketOptions, SocketOptionValues, VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { unixAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, onPairs, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { code } from '../write/told.js'

const tcp = 'tcp://127.0.0.1:0'
const timesOf = (vc: VConnection) => vc.socketOptions()?.keepAlive

describe.skipIf(onPairs)('options of the socket', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each([
      { noDelay: false },
      { keepAlive: { idle: 33, interval: 7, count: 3 } },
      { keepAlive: false },
      { tos: 0x10 },
      { congestionControl: 'reno' },
      { notSentLowat: 16384 },
      { userTimeout: 5000 },
      { outOfBandInline: true },
      { noDelay: false, userTimeout: 1, outOfBandInline: true },
    ] satisfies SocketOptionValues[])(
      'setSocketOptions(%o) is what socketOptions() reads back (VC-10, F-025)',
      async (options: SocketOptions) => {
        const [vc] = await box.world.pair()
        const before = vc.socketOptions()!
        vc.setSocketOptions(options)
        // Whatever was not named stays as it was.
        expect(vc.socketOptions()).toEqual({ ...before, ...options })
      },
    )

    test('what was read back can be set; buffer sizes are doubled by the kernel', async () => {
      const [vc, other] = await box.world.pair()
      vc.setSocketOptions({ receiveBufferSize: 20_000, sendBufferSize: 30_000 })
      const values = vc.socketOptions()!
      expect([values.receiveBufferSize, values.sendBufferSize]).toEqual([40_000, 60_000])
      other.setSocketOptions({ ...values, mark: undefined }) // which needs privileges
      expect(other.socketOptions()?.sendBufferSize).toBe(120_000)
    })

    test('keepAlive: true keeps the times; an object keeps those that it does not name', async () => {
      const [vc] = await box.world.pair()
      vc.setSocketOptions({ keepAlive: { idle: 99, count: 2 } })
      vc.setSocketOptions({ keepAlive: false })
      expect(timesOf(vc)).toBe(false)
      vc.setSocketOptions({ keepAlive: true })
      expect(timesOf(vc)).toMatchObject({ idle: 99, count: 2 })
      vc.setSocketOptions({ keepAlive: { interval: 5 } })
      expect(timesOf(vc)).toEqual({ idle: 99, interval: 5, count: 2 })
    })

    test('undefined changes nothing', async () => {
      const [vc] = await box.world.pair()
      const before = vc.socketOptions()
      vc.setSocketOptions({})
      vc.setSocketOptions({ noDelay: undefined, keepAlive: undefined })
      vc.setSocketOptions({ keepAlive: undefined, congestionControl: undefined })
      expect(vc.socketOptions()).toEqual(before)
    })

    test('what the system refuses throws its code and says which and why; those before stay set', async () => {
      const [vc] = await box.world.pair()
      let error: unknown
      try {
        vc.setSocketOptions({ userTimeout: 77, congestionControl: 'no-such-thing', tos: 8 })
      } catch (e) {
        error = e
      }
      expect(error).toMatchObject({ code: 'ENOENT', syscall: 'setsockopt', errno: -2 })
      expect((error as Error).message).toMatch(/congestionControl.*available_congestion_control/)
      expect(vc.socketOptions()).toMatchObject({ userTimeout: 77, tos: 0 })
    })

    test('mark, where the process may; else EPERM', async () => {
      const [vc] = await box.world.pair()
      const result = code(() => vc.setSocketOptions({ mark: 5 }))
      expect([result, vc.socketOptions()?.mark]).toEqual(result === 'ok' ? ['ok', 5] : ['EPERM', 0])
    })

    test('a unix socket has few of them, and says so', async () => {
      const [vc] = await box.world.pair(unixAddress())
      expect(Object.keys(vc.socketOptions()!)).not.toContain('noDelay')
      expect(vc.socketOptions()).not.toHaveProperty('congestionControl')
      expect(vc.socketOptions()?.userTimeout).toBeUndefined()
      expect(() => vc.setSocketOptions({ noDelay: true })).toThrow(
        expect.objectContaining({ code: 'EOPNOTSUPP', message: expect.stringMatching(/noDelay/) }),
      )
      vc.setSocketOptions({ sendBufferSize: 10_000 })
      expect(vc.socketOptions()?.sendBufferSize).toBe(20_000)
      expect(vc.tcpInfo()).toBeUndefined()
    })

    test('of a connection that is gone there is nothing', async () => {
      const [vc] = await box.world.pair()
      vc.doIoClose()
      expect([vc.socketOptions(), vc.tcpInfo()]).toEqual([undefined, undefined])
      expect(code(() => vc.setSocketOptions({ noDelay: true }))).toBe('ERR_VC_CLOSED')
    })

    test('listen and connect take them (CN-3, AC-1, F-085)', async () => {
      const options = {
        noDelay: false,
        keepAlive: { idle: 44, interval: 6, count: 5 },
        notSentLowat: 20_000,
        userTimeout: 1234,
        tos: 8,
        congestionControl: 'reno',
      }
      const [client, server] = await box.world.pair(tcp, { connect: options, listen: options })
      for (const vc of [client, server]) expect(vc.socketOptions()).toMatchObject(options)
    })

    test('maxSegmentSize: of one side, and so of both', async () => {
      const { world } = box
      const [client] = await world.pair(tcp, { listen: { maxSegmentSize: 700 } })
      expect(client.tcpInfo()?.mss).toBeLessThanOrEqual(700)
      const [, server] = await world.pair(tcp, { connect: { maxSegmentSize: 800 } })
      expect(server.tcpInfo()?.mss).toBeLessThanOrEqual(800)
    })

    test('options that are changed while listen or connect waits are not used', async () => {
      const { world } = box
      const keepAlive = { idle: 44 }
      const [, , listener] = await world.pair(tcp)
      const port = Number(listener.addresses[0].split(':').at(-1))
      const pending = world.reactor.connect(`tcp://localhost:${String(port)}`, { keepAlive })
      keepAlive.idle = -5
      const vc = await pending
      expect(timesOf(vc)).toMatchObject({ idle: 44 })
    })

    test('what the system refuses is an error of listen() (AC-1)', async () => {
      const { reactor } = box.world
      await expect(
        reactor.listen(tcp, () => {}, { congestionControl: 'no-such-thing' }),
      ).rejects.toMatchObject({ code: 'ENOENT', syscall: 'listen' })
    })

    describe('bindToDevice', () => {
      const bound = { bindToDevice: 'lo' }
      const device = (vc: VConnection | undefined) => vc?.socketOptions()?.bindToDevice

      test('of a listener is that of its connections, and goes where they go (SO_BINDTODEVICE)', async () => {
        const { world } = box
        const [free, server, listener] = await world.pair(tcp, { listen: bound })
        expect([device(free), device(server)]).toEqual([undefined, 'lo'])
        const client = await world.reactor.connect(listener.addresses[0], bound)
        expect(device(client)).toBe('lo')
        await client.migrate(Math.min(1, world.threads))
        expect(device(client)).toBe('lo')
        const named = await world.reactor.connect(
          `tcp://localhost:${listener.addresses[0].split(':').at(-1)!}`,
          bound,
        )
        expect(device(named)).toBe('lo')
        free.setSocketOptions(bound)
        expect(device(free)).toBe('lo')
      })

      test('an interface that does not exist is ENODEV', async () => {
        const { reactor } = box.world
        const none = { bindToDevice: 'no-such-if' }
        const [vc, , listener] = await box.world.pair(tcp)
        const refused = { code: 'ENODEV', message: expect.stringMatching(/interface/) as unknown }
        await expect(reactor.connect(listener.addresses[0], none)).rejects.toMatchObject(refused)
        await expect(reactor.listen(tcp, () => {}, none)).rejects.toMatchObject(refused)
        expect(() => vc.setSocketOptions(none)).toThrow(expect.objectContaining(refused))
      })

      test('where it cannot hold it is refused: unix sockets, and descriptors that others have bound', async () => {
        const { reactor } = box.world
        const refused = { code: 'ERR_INCOMPATIBLE_OPTION_PAIR' }
        const unix = unixAddress()
        await expect(reactor.connect(unix, bound)).rejects.toMatchObject(refused)
        for (const to of [unix, [tcp, unix]])
          await expect(reactor.listen(to, () => {}, bound)).rejects.toMatchObject(refused)
        const fd = { ...bound, fd: 1_000_000 }
        await expect(reactor.listen(tcp, () => {}, fd)).rejects.toMatchObject(refused)
        const [vc] = await box.world.pair(unix)
        expect(code(() => vc.setSocketOptions(bound))).toBe('EOPNOTSUPP')
      })

      test.each([5, '', 'a/b', 'a b', 'x'.repeat(16)])('%j is no interface', async (name) => {
        const wrong = { bindToDevice: name as string }
        const refused = { message: expect.stringMatching(/bindToDevice/) as unknown }
        const { reactor } = box.world
        await expect(reactor.connect('tcp://127.0.0.1:1', wrong)).rejects.toMatchObject(refused)
        await expect(reactor.listen(tcp, () => {}, wrong)).rejects.toMatchObject(refused)
      })
    })

    test('transparent listeners, where the process may; else EPERM (AC-1, F-078)', async () => {
      const { world } = box
      const listening = world.pair(tcp, { listen: { transparent: true } })
      const result = await listening.then(
        ([client]) => client.closed,
        (error: { code: string }) => error.code,
      )
      expect([false, 'EPERM']).toContain(result)
    })

    test('localPortRange: the port is chosen late, so two connections share the only one (CN-4)', async () => {
      const { reactor } = box.world
      const listen = async () => (await reactor.listen(tcp, () => {})).addresses[0]
      const [one, two] = [await listen(), await listen()]
      const dial = (to: string, port: number) =>
        reactor
          .connect(to, { localAddress: '127.0.0.1', localPortRange: [port, port] })
          .catch((error: { code: string }) => error.code)
      // A port that was free may be taken by somebody else: then another one.
      for (let i = 0; i < 10; i++) {
        const free = await reactor.listen(tcp, () => {})
        const port = Number(free.addresses[0].split(':').at(-1))
        await free.close()
        const first = await dial(one, port)
        if (first === 'EADDRNOTAVAIL') continue
        if (typeof first === 'string') {
          expect(first).toBe('ENOPROTOOPT') // before Linux 6.3
          return
        }
        const second = (await dial(two, port)) as VConnection
        expect([first.localPort, second.localPort]).toEqual([port, port])
        expect(await dial(one, port)).toBe('EADDRNOTAVAIL')
        return
      }
      expect.fail('no port')
    })
  })
})

describe.skipIf(onPairs)('tcpInfo', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('after an echo: the state, the bytes of both directions, and times', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      server.doIoRead(() => void server.write(reader.read()), Infinity, buffer)
      const n = 300_000
      const { recorder } = world.check(client, n)
      client.write(pattern(n))
      expect(await recorder.end()).toBe('READ_COMPLETE')
      const info = client.tcpInfo()!
      expect(info.state).toBe('ESTABLISHED')
      expect(info.bytesReceived).toBe(n)
      expect(info.bytesAcked).toBeGreaterThanOrEqual(n)
      expect(info.bytesAcked).toBeLessThanOrEqual(n + 1) // the SYN
      expect(info.bytesSent! - info.bytesRetransmitted!).toBe(n)
      expect(server.tcpInfo()!.bytesReceived).toBe(n)
      expect([info.unacked, info.notSentBytes, info.retransmits]).toEqual([0, 0, 0])
      expect(info.rttUs).toBeGreaterThan(0)
      expect(info.minRttUs).toBeLessThanOrEqual(10_000_000)
      expect(info.congestionWindow).toBeGreaterThan(0)
      expect(info.mss).toBeGreaterThan(87)
      expect(info.deliveryRate).toBeGreaterThan(0)
    })

    test('of one whose peer has ended, and of one that has never lost a segment', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      expect(client.tcpInfo()?.slowStartThreshold).toBe(Infinity)
      server.doIoShutdown('write')
      await eventually(() => client.tcpInfo()?.state === 'CLOSE_WAIT', 'CLOSE_WAIT')
      await eventually(() => server.tcpInfo()?.state === 'FIN_WAIT2', 'FIN_WAIT2')
    })
  })
})
