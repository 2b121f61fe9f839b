import { MIOBuffer, NetvcError } from 'netvc'
import { describe, expect, test } from 'vitest'
import { abstractAddress, sockets, unixAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { useSilentAddress } from '../support/silent.js'

describe('Reactor.connect', () => {
  const silent = useSilentAddress()
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(sockets))(
      '%s: addresses of both ends (VC-8)',
      async (name, address) => {
        const { world } = box
        const [client, server, listener] = await world.pair(address())
        expect(client.remoteAddress).toBe(listener.addresses[0])
        expect(server.localAddress).toBe(listener.addresses[0])
        expect(server.remoteAddress).toBe(client.localAddress)
        if (name.startsWith('unix')) {
          expect(server.remoteAddress).toBe('unix://')
          expect([client.remotePort, client.localPort]).toEqual([0, 0])
        } else {
          const host = name === 'tcp v4' ? '127.0.0.1' : '::1'
          expect([client.remoteHost, client.localHost]).toEqual([host, host])
          expect(client.remotePort).toBe(server.localPort)
          expect(client.localPort).toBe(server.remotePort)
          expect(client.localPort).toBeGreaterThan(0)
        }
      },
    )

    test('ids: 64 bits, different for every connection, the same for ever (AD-6, VC-8)', async () => {
      const { world } = box
      const ids = new Set<bigint>()
      for (let i = 0; i < 20; i++) {
        const [client, server] = await world.pair()
        ids.add(client.id).add(server.id)
        client.doIoClose()
        server.doIoClose()
        expect(typeof client.id).toBe('bigint')
      }
      expect(ids.size).toBe(40)
    })

    test.each([
      ['tcp v4', 'tcp://127.0.0.1:1', 'ECONNREFUSED'],
      ['tcp v6', 'tcp://[::1]:1', 'ECONNREFUSED'],
      ['unix path', unixAddress(), 'ENOENT'],
      ['unix abstract', abstractAddress(), 'ECONNREFUSED'],
    ])('%s: nobody listens: %s is %s (CN-7)', async (_, address, code) => {
      const error: unknown = await box.world.reactor.connect(address).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(NetvcError)
      expect(error).toBeInstanceOf(Error)
      expect(error).toMatchObject({ code, syscall: 'connect', address, name: 'NetvcError' })
      expect((error as NetvcError).errno).toBeLessThan(0)
      expect((error as NetvcError).message).toContain(address)
    })

    test('a name is looked up; an unknown one is an error with its code', async () => {
      const { world } = box
      const listener = await world.reactor.listen('tcp://localhost:0', () => {})
      const port = new URL(listener.addresses[0].replace('tcp:', 'http:')).port
      const vc = await world.reactor.connect(`tcp://localhost:${port}`)
      expect(vc.remotePort).toBe(Number(port))
      const error: unknown = await world.reactor
        .connect('tcp://no-such-name.invalid:80')
        .catch((e: unknown) => e)
      expect(error).toMatchObject({
        code: expect.stringMatching(/^E(NOTFOUND|AI_AGAIN)$/),
        syscall: 'connect',
      })
      expect((error as Error).message).toContain('no-such-name.invalid')
    })

    test('timeout: ENET_CONNECT_TIMEOUT, and nothing is left (CN-7)', async () => {
      const { world } = box
      const { address } = silent
      const before = world.reactor.stats().open
      await expect(world.reactor.connect(address, { timeout: 30 })).rejects.toMatchObject({
        code: 'ENET_CONNECT_TIMEOUT',
        syscall: 'connect',
        address,
      })
      expect(world.reactor.stats().open).toBe(before)
    })

    test('AbortSignal: before, during and after (AbortError, ABORT_ERR)', async () => {
      const { world } = box
      const reason = new Error('enough')
      await expect(
        world.reactor.connect('tcp://127.0.0.1:1', { signal: AbortSignal.abort(reason) }),
      ).rejects.toMatchObject({ code: 'ABORT_ERR', name: 'AbortError', cause: reason })
      const { address } = silent
      const during = new AbortController()
      const before = world.reactor.stats().open
      const pending = world.reactor.connect(address, { signal: during.signal })
      await turn()
      during.abort(reason)
      await expect(pending).rejects.toMatchObject({ code: 'ABORT_ERR', cause: reason })
      await eventually(() => world.reactor.stats().open === before, 'the attempt is gone')
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', () => {})
      const after = new AbortController()
      const vc = await world.reactor.connect(listener.addresses[0], { signal: after.signal })
      after.abort()
      await turn()
      expect(vc.closed).toBe(false)
    })

    test('aborts that race with the answer leak nothing', async () => {
      const { world } = box
      let accepted = 0
      const listener = await world.reactor.listen(abstractAddress(), (vc) => {
        accepted++
        vc.doIoClose()
      })
      const results = await Promise.allSettled(
        Array.from({ length: 100 }, async (_, i) => {
          const controller = new AbortController()
          const pending = world.reactor.connect(listener.addresses[0], {
            signal: controller.signal,
          })
          for (let n = 0; n < i % 5; n++) await turn()
          controller.abort()
          const vc = await pending
          expect(vc.closed).toBe(false)
          vc.doIoClose()
        }),
      )
      for (const r of results) {
        if (r.status === 'rejected') expect(r.reason).toMatchObject({ code: 'ABORT_ERR' })
      }
      await eventually(() => world.reactor.stats().open === 0, 'all closed')
      expect(accepted).toBeLessThanOrEqual(100)
    })

    test('localAddress and localPort (CN-4)', async () => {
      const { world } = box
      let from: string | undefined
      const listener = await world.reactor.listen(
        'tcp://127.0.0.1:0',
        (vc) => (from = vc.remoteAddress),
      )
      const first = await world.reactor.connect(listener.addresses[0], {
        localAddress: '127.0.0.2',
      })
      expect(first.localHost).toBe('127.0.0.2')
      await eventually(() => from === first.localAddress, 'the peer sees it')
      const free = await world.reactor.listen('tcp://127.0.0.1:0', () => {})
      const port = Number(free.addresses[0].split(':').at(-1))
      await free.close()
      const second = await world.reactor.connect(listener.addresses[0], { localPort: port })
      expect(second.localPort).toBe(port)
      await expect(
        world.reactor.connect(listener.addresses[0], { localAddress: '192.0.2.1' }),
      ).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
      await expect(
        world.reactor.connect(listener.addresses[0], { localAddress: '::1' }),
      ).rejects.toMatchObject({ code: expect.stringMatching(/^(EAFNOSUPPORT|EINVAL)$/) })
    })

    test('options of the socket are taken', async () => {
      const { world } = box
      const [client, server] = await world.pair('tcp://127.0.0.1:0', {
        connect: {
          noDelay: false,
          keepAlive: true,
          receiveBufferSize: 16384,
          sendBufferSize: 16384,
          tos: 8,
        },
      })
      client.write(pattern(100_000))
      expect(await world.check(server, 100_000).recorder.end()).toBe('READ_COMPLETE')
      const { reactor } = world
      await expect(
        reactor.connect(server.localAddress!, { congestionControl: 'no-such-algorithm' }),
      ).rejects.toMatchObject({ syscall: 'connect' })
    })

    test('fastOpen: the first write connects (CN-9)', async () => {
      const { world } = box
      const [client, server] = await (async () => {
        let accept!: (vc: typeof client) => void
        const accepted = new Promise<Awaited<ReturnType<typeof world.reactor.connect>>>(
          (r) => (accept = r),
        )
        const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => accept(vc), {
          fastOpenQueue: 5,
        })
        const client = await world.reactor.connect(listener.addresses[0], { fastOpen: true })
        client.write(pattern(1000))
        return [client, await accepted]
      })()
      expect(await world.check(server, 1000).recorder.end()).toBe('READ_COMPLETE')
      expect(client.closed).toBe(false)
    })

    test('reactor.close() rejects what is pending with ERR_REACTOR_CLOSED (INV-27)', async () => {
      const { world } = box
      const { address } = silent
      const reactor = world.another()
      const pending = reactor.connect(address)
      const named = reactor.connect('tcp://localhost:1').catch((error: unknown) => error)
      await turn()
      const closed = reactor.close()
      await expect(pending).rejects.toMatchObject({ code: 'ERR_REACTOR_CLOSED' })
      expect(await named).toMatchObject({
        code: expect.stringMatching(/^(ERR_REACTOR_CLOSED|ECONNREFUSED)$/),
      })
      await closed
      for (const call of [
        () => reactor.connect('tcp://127.0.0.1:1'),
        () => reactor.listen('tcp://127.0.0.1:0', () => {}),
        () => reactor.adopt(0),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: 'ERR_REACTOR_CLOSED' })
      }
    })

    test('data that comes with the accept is read without another edge (AC-4)', async () => {
      const { world } = box
      for (let i = 0; i < 20; i++) {
        const got = new Promise<number>((resolve) => {
          void world.reactor
            .listen(abstractAddress(), (vc) => {
              const buffer = new MIOBuffer()
              world.buffers.push(buffer)
              const reader = buffer.allocReader()
              vc.doIoRead(() => resolve(reader.readAvail), 3, buffer)
            })
            .then(async (listener) =>
              (await world.reactor.connect(listener.addresses[0])).write('abc'),
            )
        })
        expect(await got).toBe(3)
      }
    })
  })
})
