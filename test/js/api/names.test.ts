import { once } from 'node:events'
import nodeNet, { type AddressInfo, type Server } from 'node:net'
import { NetvcError, type Reactor } from 'netvc'
import vcNet from 'netvc/net'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { useResolver, type Found } from '../support/resolver.js'
import { useSilentAddress } from '../support/silent.js'

const v6: Found = { address: '::1', family: 6 }
const v4: Found = { address: '127.0.0.1', family: 4 }

/** What a connect came to: 'connected' and where, or the codes of its errors. */
async function outcomeOf(net: Pick<typeof nodeNet, 'connect'>, port: number): Promise<unknown> {
  const socket = net.connect(port, 'name.test')
  const outcome = await new Promise((resolve) => {
    socket.on('connect', () => {
      resolve(['connected', socket.remoteAddress])
    })
    socket.on('error', (e: AggregateError & { code: string }) => {
      const codes = (e.errors as { code: string; address: string }[]).map((one) => one.code)
      resolve([e.code, codes])
    })
  })
  socket.destroy()
  return outcome
}

async function outcomeOfReactor(reactor: Reactor, port: number): Promise<unknown> {
  try {
    const vc = await reactor.connect(`tcp://name.test:${String(port)}`)
    const outcome = ['connected', vc.remoteHost]
    vc.doIoClose()
    return outcome
  } catch (error) {
    expect(error).toBeInstanceOf(NetvcError)
    expect(error).toBeInstanceOf(AggregateError)
    const { errors, code } = error as AggregateError & { code: string }
    return [code, (errors as { code: string }[]).map((one) => one.code)]
  }
}

describe('a name with several addresses', () => {
  const resolver = useResolver()
  const silent = useSilentAddress()
  let server: Server
  let port: number
  let accepted: number

  // netvc/net makes its engine when it is first used, and keeps it.
  beforeAll(async () => {
    resolver.answer = () => Promise.resolve([v4, v6])
    await outcomeOf(vcNet, 1)
  })
  beforeEach(async () => {
    accepted = 0
    server = nodeNet.createServer((socket) => {
      accepted++
      socket.on('error', () => {}).resume()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    port = (server.address() as AddressInfo).port
  })
  afterEach(() => server.close())

  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each([
      ['the second one answers', [v6, v4]],
      ['the first one answers', [v4, v6]],
      ['the third one answers', [v6, { address: '127.0.0.3', family: 4 } as const, v4]],
      ['none answers', [v6, { address: '127.0.0.2', family: 4 } as const]],
    ])('%s: as node:net', async (_, found) => {
      resolver.answer = () => Promise.resolve(found)
      const expected = await outcomeOf(nodeNet, port)
      expect(await outcomeOfReactor(box.world.reactor, port)).toEqual(expected)
      expect(await outcomeOf(vcNet, port)).toEqual(expected)
    })

    test('one that is silent does not keep the next one waiting', async () => {
      const silentPort = Number(silent.address.split(':').at(-1))
      await once(server.close(), 'close')
      await once(server.listen(silentPort, '127.0.0.2'), 'listening')
      resolver.answer = () => Promise.resolve([v4, { address: '127.0.0.2', family: 4 }])
      const expected = ['connected', '127.0.0.2']
      expect(await outcomeOf(nodeNet, silentPort)).toEqual(expected)
      expect(await outcomeOfReactor(box.world.reactor, silentPort)).toEqual(expected)
      expect(await outcomeOf(vcNet, silentPort)).toEqual(expected)
      await eventually(() => box.world.reactor.stats().open === 0, 'the silent attempt is gone')
    })

    test('only addresses of the family of localAddress are asked for', async () => {
      let family: number | undefined
      resolver.answer = (options) => {
        family = options.family
        return Promise.resolve([v4])
      }
      const to = `tcp://name.test:${String(port)}`
      await box.world.reactor.connect(to, { localAddress: '127.0.0.2' })
      expect(family).toBe(4)
    })

    test('listen() takes the first one, as server.listen()', async () => {
      resolver.answer = () => Promise.resolve([v4, v6])
      const listener = await box.world.reactor.listen('tcp://name.test:0', () => {})
      expect(listener.addresses).toEqual([expect.stringMatching(/^tcp:\/\/127\.0\.0\.1:/)])
    })

    describe('a look-up that is slow', () => {
      const ends: Record<
        string,
        { code: string; end: (reactor: Reactor, signal: AbortController) => unknown }
      > = {
        'its signal': { code: 'ABORT_ERR', end: (_, controller) => controller.abort() },
        'reactor.close()': { code: 'ERR_REACTOR_CLOSED', end: (reactor) => reactor.close() },
        'reactor.drain()': { code: 'ERR_REACTOR_CLOSED', end: (reactor) => reactor.drain() },
        'its timeout': { code: 'ENET_CONNECT_TIMEOUT', end: () => undefined },
      }
      const cases = (['connect', 'listen'] as const).flatMap((what) =>
        Object.keys(ends).map((how) => [what, how] as const),
      )
      test.each(cases.filter(([what, how]) => what === 'connect' || how !== 'its timeout'))(
        '%s: ended by %s at once, and nothing comes of it later',
        async (what, how) => {
          const reactor = box.world.another()
          let answer!: (found: Found[]) => void
          resolver.answer = () => new Promise((resolve) => (answer = resolve))
          const { code, end } = ends[how]
          const controller = new AbortController()
          const { signal } = controller
          const to = `tcp://name.test:${what === 'connect' ? String(port) : '0'}`
          const outcomes: unknown[] = []
          const promise: Promise<unknown> =
            what === 'connect'
              ? reactor.connect(to, { signal, timeout: how === 'its timeout' ? 20 : 0 })
              : reactor.listen(to, () => {}, { signal })
          void promise.then(
            () => outcomes.push('success'),
            (error: NetvcError) => outcomes.push(error.code),
          )
          void end(reactor, controller)
          await eventually(() => outcomes.length > 0, 'an outcome, without an answer')
          const { connected } = reactor.stats()
          answer([v4])
          for (let i = 0; i < 5; i++) await turn()
          expect(outcomes).toEqual([code])
          expect(reactor.stats()).toMatchObject({ connected, open: 0 })
          expect(accepted).toBe(0)
        },
      )

      test('the time that it takes counts: timeout is that of the whole', async () => {
        resolver.answer = async () => {
          await new Promise((resolve) => setTimeout(resolve, 60))
          return [v4]
        }
        const to = silent.address.replace('127.0.0.1', 'name.test')
        const started = performance.now()
        await expect(box.world.reactor.connect(to, { timeout: 300 })).rejects.toMatchObject({
          code: 'ENET_CONNECT_TIMEOUT',
          address: to,
        })
        expect(performance.now() - started).toBeGreaterThanOrEqual(299)
        await eventually(() => box.world.reactor.stats().open === 0, 'the attempt is gone')
      })
    })
  })
})
