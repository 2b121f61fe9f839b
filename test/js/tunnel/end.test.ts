import { MIOBuffer, tunnel, VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { abstractAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'
import { ends, join, received, type Joined } from './join.js'

const code = (call: () => unknown): string => {
  try {
    call()
    return 'ok'
  } catch (error) {
    return (error as { code: string }).code
  }
}

const addresses = { tcp: () => 'tcp://127.0.0.1:0', unix: abstractAddress }

describe.each(Object.entries(addresses))('the end of a tunnel, %s', (_, address) => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each([
      ['client', 'server'],
      ['server', 'client'],
    ] as const)(
      '%s ends first: the other direction goes on until %s ends (INV-17)',
      async (first, second) => {
        const joined = await join(box.world, { address })
        const at = {
          client: box.world.check(joined.client),
          server: box.world.check(joined.server),
        }
        joined[first].write(pattern(1000))
        joined[first].doIoShutdown('write')
        expect(await at[second].recorder.end()).toBe('EOS')
        expect([joined.front.closed, joined.back.closed]).toEqual([false, false])
        joined[second].write(pattern(5000))
        await received(at[first], 5000)
        joined[second].doIoShutdown('write')
        const { reason, aToB, bToA } = await joined.tunnel.closed
        expect(await at[first].recorder.end()).toBe('EOS')
        expect(reason).toBe('eos')
        expect([aToB, bToA]).toEqual(first === 'client' ? [1000, 5000] : [5000, 1000])
      },
    )

    test('both end at once (INV-17)', async () => {
      const { client, server, tunnel: t } = await join(box.world, { address })
      const all = [box.world.check(client), box.world.check(server)]
      for (const vc of [client, server]) {
        vc.write(pattern(300))
        vc.doIoShutdown('write')
      }
      expect(await t.closed).toEqual({ reason: 'eos', error: undefined, aToB: 300, bToA: 300 })
      for (const { recorder, stream } of all) {
        expect(await recorder.end()).toBe('EOS')
        expect(stream.count).toBe(300)
      }
    })

    test('a side that had ended before the tunnel began (INV-17)', async () => {
      const { world } = box
      const { client, front, back, server } = await ends(world, { address })
      client.write(pattern(77))
      client.doIoShutdown('write')
      const first = world.check(front)
      expect(await first.recorder.end()).toBe('EOS')
      const t = tunnel(front, back)
      const atServer = world.check(server)
      expect(await atServer.recorder.end()).toBe('EOS')
      expect(atServer.stream.count).toBe(0)
      server.write(pattern(99))
      server.doIoShutdown('write')
      expect(await t.closed).toMatchObject({ reason: 'eos', aToB: 0, bToA: 99 })
      const atClient = world.check(client)
      expect(await atClient.recorder.end()).toBe('EOS')
      expect(atClient.stream.count).toBe(99)
    })

    const closers: Record<string, (j: Joined) => void> = {
      'doIoClose of a': (j) => j.front.doIoClose(),
      'doIoClose of b': (j) => j.back.doIoClose(),
      'an abort of a': (j) => j.front.doIoClose(104),
      'tunnel.close()': (j) => j.tunnel.close(),
      'tunnel.close() twice': (j) => {
        j.tunnel.close()
        j.tunnel.close()
      },
      'doIoClose of both': (j) => {
        j.back.doIoClose()
        j.front.doIoClose()
      },
    }
    for (const [name, close] of Object.entries(closers)) {
      test(`${name}: both are closed, and the ends hear of it (CL-2, INV-31)`, async () => {
        const joined = await join(box.world, { address })
        const atServer = box.world.check(joined.server)
        const atClient = box.world.check(joined.client)
        joined.client.write(pattern(100))
        await received(atServer, 100)
        close(joined)
        expect(await joined.tunnel.closed).toEqual({
          reason: 'closed',
          error: undefined,
          aToB: 100,
          bToA: 0,
        })
        expect([joined.front.closed, joined.back.closed]).toEqual([true, true])
        expect(await atServer.recorder.end()).toBe('EOS')
        expect(await atClient.recorder.end()).toBe('EOS')
        expect([joined.tunnel.aToB, joined.tunnel.bToA]).toEqual([100, 0])
        joined.tunnel.close()
      })

      test(`${name} in the turn that made it`, async () => {
        const joined = await join(box.world, { address })
        close(joined)
        expect((await joined.tunnel.closed).reason).toBe('closed')
        expect([joined.front.closed, joined.back.closed]).toEqual([true, true])
        expect(await box.world.check(joined.client).recorder.end()).toBe('EOS')
      })
    }

    test('setFailed of one ends it with that, under its own code (SK-4)', async () => {
      const joined = await join(box.world, { address })
      joined.front.setFailed('enough')
      const { reason, error } = await joined.tunnel.closed
      expect({ reason, code: error?.code }).toEqual({ reason: 'error', code: 'EFAILEDSOCKET' })
    })

    test('reactor.close() ends tunnels that carry bytes, and each is told (INV-27)', async () => {
      const { world } = box
      const joined: Joined[] = []
      for (let i = 0; i < 10; i++) joined.push(await join(world, { address }))
      for (const { client, server } of joined) {
        const incoming = world.check(server)
        client.write(pattern(5000))
        await received(incoming, 5000)
        client.write(pattern(200_000, 5000))
      }
      const closing = world.reactor.close()
      const results = await Promise.all(joined.map(({ tunnel: t }) => t.closed))
      await closing
      for (const { reason, error, aToB, bToA } of results) {
        expect({ reason, error, bToA }).toEqual({ reason: 'closed', error: undefined, bToA: 0 })
        expect(aToB).toBeGreaterThanOrEqual(5000)
      }
      for (const j of joined)
        expect([j.front.closed, j.back.closed, j.client.closed]).toEqual([true, true, true])
    })

    test('a connection has one tunnel; what was refused is as before (ERR_VC_TUNNELED)', async () => {
      const { world } = box
      const joined = await join(world, { address })
      const [other, peer] = await world.pair(address())
      expect(code(() => tunnel(joined.front, other))).toBe('ERR_VC_TUNNELED')
      expect(code(() => tunnel(other, joined.front))).toBe('ERR_VC_TUNNELED')
      expect(code(() => tunnel(other, joined.back))).toBe('ERR_VC_TUNNELED')
      expect(code(() => tunnel(joined.front, joined.back))).toBe('ERR_VC_TUNNELED')
      other.write(pattern(1))
      expect(await world.check(peer, 1).recorder.when(() => true)).toMatchObject({ ndone: 1 })
      joined.client.write(pattern(10))
      await received(world.check(joined.server), 10)
    })

    test('operations that were armed are cancelled by a tunnel: none is told again (INV-1)', async () => {
      const { world } = box
      const { client, front, back, server } = await ends(world, { address })
      const silent = new Recorder()
      const buffer = new MIOBuffer()
      world.buffers.push(buffer)
      for (const vc of [front, back])
        vc.doIoRead(silent.handler, Infinity, vc === front ? buffer : world.buffer())
      const drained = back.drained()
      const t = tunnel(front, back)
      await drained.catch((error: { code: string }) => expect(error.code).toBe('ERR_VC_TUNNELED'))
      client.write(pattern(10))
      await received(world.check(server), 10)
      client.doIoClose()
      server.doIoClose()
      expect((await t.closed).aToB).toBe(10)
      expect(silent.names).toEqual([])
    })

    test('a connection that is shut or closed cannot be joined (VC-5, VC-1)', async () => {
      const { world } = box
      const make = async (change: (vc: VConnection) => void) => {
        const { front, back } = await ends(world, { address })
        change(back)
        return [code(() => tunnel(front, back)), code(() => tunnel(back, front)), front.closed]
      }
      expect(await make((vc) => vc.doIoShutdown('read'))).toEqual([
        'ERR_VC_SHUT',
        'ERR_VC_SHUT',
        false,
      ])
      expect(await make((vc) => vc.doIoShutdown('write'))).toEqual([
        'ERR_VC_SHUT',
        'ERR_VC_SHUT',
        false,
      ])
      expect(await make((vc) => vc.doIoClose())).toEqual(['ERR_VC_CLOSED', 'ERR_VC_CLOSED', false])
    })

    test('a tunnel that is made and ended inside handlers (INV-16)', async () => {
      const { world } = box
      const { client, front, back, server } = await ends(world, { address })
      const result = new Promise((resolve) => {
        const recorder = new Recorder((event) => {
          expect(VCEvent[event]).toBe('READ_COMPLETE')
          const t = tunnel(front, back)
          t.close()
          resolve(t.closed)
        })
        front.doIoRead(recorder.handler, 1, world.buffer())
      })
      client.write('x')
      expect(await result).toMatchObject({ reason: 'closed', aToB: 0 })
      expect(await world.check(server).recorder.end()).toBe('EOS')
    })
  })
})

describe('a reset', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(['client', 'server'] as const)(
      'of the %s ends the tunnel with an error (4.5)',
      async (who) => {
        const joined = await join(box.world, { connect: { resetOnClose: true } })
        const other = who === 'client' ? joined.server : joined.client
        const incoming = box.world.check(other)
        joined[who].write(pattern(100))
        await received(incoming, 100)
        joined[who].doIoClose(104)
        const { reason, error, aToB, bToA } = await joined.tunnel.closed
        expect(reason).toBe('error')
        expect(error?.code).toBe('ECONNRESET')
        expect(error?.syscall).toBe('tunnel')
        expect([aToB, bToA]).toEqual(who === 'client' ? [100, 0] : [0, 100])
        expect([joined.front.closed, joined.back.closed]).toEqual([true, true])
        expect(joined.front.error?.code).toBe('ECONNRESET')
        expect(await incoming.recorder.end()).toBe('EOS')
      },
    )
  })
})
