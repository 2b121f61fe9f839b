import { Reactor, tunnel, VCHandle, type VConnection, type WriteOptions } from 'netvc'
import { describe, expect, test } from 'vitest'
import { unixAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld, type World } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { code, filled, told, type Filled } from './told.js'

const maxPipelined = 0x3fffffff

describe('the channel of a write (SW-2, INV-10, B-31)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('a promise resolves, a callback gets null, when the kernel has it (SW-12)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream } = world.check(server)
      expect(await client.write(pattern(10), { completion: true })).toBeUndefined()
      expect(client.writableLength).toBe(0)
      const errors: unknown[] = []
      const called = new Promise<void>((resolve) => {
        const answer = client.write(pattern(100_000, 10), {
          completion: (error) => {
            errors.push(error)
            resolve()
          },
        })
        expect(answer).toBe(true)
      })
      expect(errors).toEqual([]) // never on the stack of the caller
      await called
      await eventually(() => stream.count === 100_010, 'all arrives')
      expect(errors).toEqual([null])
    })

    test('with false or undefined it is a plain answer', async () => {
      const [client] = await box.world.pair()
      for (const options of [{}, { completion: false }, { completion: undefined }]) {
        expect(client.write('x', options as WriteOptions)).toBe(true)
      }
    })

    test('they come in the order of the messages, large ones last (SW-9)', async () => {
      const { world } = box
      const { client, server } = await filled(world)
      const order: number[] = []
      const all = Array.from({ length: 50 }, (_, i) =>
        told(client, pattern(1 + ((i * 7919) % 30_000), 0)).then(() => order.push(i)),
      )
      expect(order).toEqual([])
      drop(world, server)
      await Promise.all(all)
      expect(order).toEqual(Array.from(order, (_, i) => i))
    })

    /** Brings a connection to where each of these refusals is due. */
    const refusals: Record<
      string,
      (w: World) => Promise<[VCHandle, string | Buffer, WriteOptions]>
    > = {
      EINVAL: async (w) => [(await w.pair())[0], '', {}],
      EOVERFLOW: async (w) => [(await w.pair())[0], 'x', { pipelinedCount: maxPipelined + 1 }],
      EOVERCROWDED: async (w) => {
        const { client } = await filled(w)
        client.maxUnwritten = 1000
        return [client, 'x', {}]
      },
      ERR_VC_CLOSED: async (w) => {
        const [client] = await w.pair()
        client.doIoClose()
        return [client, 'x', {}]
      },
      ERR_VC_SHUT: async (w) => {
        const [client] = await w.pair()
        client.doIoShutdown('write')
        return [client, 'x', {}]
      },
      ERR_VC_TUNNELED: async (w) => {
        const [[a], [b]] = [await w.pair(), await w.pair()]
        tunnel(a, b)
        return [a, 'x', {}]
      },
      ECONNABORTED: async (w) => {
        const [client] = await w.pair()
        client.doIoRead(() => {}, Infinity, w.buffer())
        client.setFailed(Object.assign(new Error('stored'), { code: 'ECONNABORTED' }))
        return [client, 'x', {}]
      },
    }

    test.each(Object.entries(refusals))(
      '%s: thrown without a channel, told by it otherwise, once (SW-1, SW-2)',
      async (name, enter) => {
        const [vc, data, options] = await enter(box.world)
        expect(code(() => vc.write(data, options))).toBe(name)
        expect(code(() => vc.write(data, { ...options, completion: false }))).toBe(name)
        const promise = vc.write(data, { ...options, completion: true })
        expect(
          await promise.then(
            () => 'no',
            (e: { code: string }) => e.code,
          ),
        ).toBe(name)
        const calls: (string | undefined)[] = []
        const answer = vc.write(data, { ...options, completion: (e) => void calls.push(e?.code) })
        expect(typeof answer).toBe('boolean')
        expect(calls).toEqual([])
        await eventually(() => calls.length > 0, 'the callback')
        await turn()
        expect(calls).toEqual([name])
      },
    )

    test('a refused message does not leave, those around it do (SW-1)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write(pattern(10))
      for (let i = 0; i < 3; i++) {
        expect(code(() => client.write('wrong', { pipelinedCount: maxPipelined + 1 }))).toBe(
          'EOVERFLOW',
        )
        await told(client, '').catch(() => {})
      }
      client.write(pattern(10, 10), {})
      client.doIoShutdown('write')
      const { stream, recorder } = world.check(server)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(20)
    })

    test('wrong arguments are thrown, whatever the channel', async () => {
      const [client] = await box.world.pair()
      const wrong: [unknown, unknown, string][] = [
        [1, {}, 'ERR_INVALID_ARG_TYPE'],
        [['a', 1], {}, 'ERR_INVALID_ARG_TYPE'],
        ['x', null, 'ERR_INVALID_ARG_TYPE'],
        ['x', { completion: 1 }, 'ERR_INVALID_ARG_TYPE'],
        ['x', { timeout: -1 }, 'ERR_OUT_OF_RANGE'],
        ['x', { timeout: '1' }, 'ERR_INVALID_ARG_TYPE'],
        ['x', { pipelinedCount: -1 }, 'ERR_OUT_OF_RANGE'],
        ['x', { auth: 1 }, 'ERR_INVALID_ARG_TYPE'],
        ['x', { ignoreOvercrowded: 1 }, 'ERR_INVALID_ARG_TYPE'],
        ['x', { deadline: 1 }, 'ERR_INVALID_ARG_VALUE'],
      ]
      for (const [data, options, expected] of wrong) {
        expect(code(() => client.write(data as never, options as never))).toBe(expected)
      }
    })
  })
})

describe('what can be written', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('several pieces are one message, also without options (SW-9)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream } = world.check(server)
      const pieces = (from: number) => [0, 1, 2].map((i) => pattern(3000, from + i * 3000))
      client.write(pieces(0))
      await client.write(pieces(9000), { completion: true })
      expect(code(() => client.write([]))).toBe('EINVAL')
      await eventually(() => stream.count === 18_000, 'all arrives')
      const pending = told(client, ['', new Uint8Array(0)])
      await expect(pending).rejects.toMatchObject({ code: 'EINVAL' })
    })

    test('pipelinedCount: 0, 1, the most, and one more (B-34)', async () => {
      const [client] = await box.world.pair()
      expect(client.popPipelined()).toBeUndefined()
      await told(client, 'none', { pipelinedCount: 0, auth: true })
      await told(client, 'one', { pipelinedCount: 1 })
      await told(client, 'most', { pipelinedCount: maxPipelined, auth: true })
      for (const n of [maxPipelined + 1, 2 ** 31, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
        expect(code(() => client.write('more', { pipelinedCount: n }))).toBe('EOVERFLOW')
      }
      expect(client.popPipelined()).toEqual({ count: 1, auth: false })
      expect(client.popPipelined()).toEqual({ count: maxPipelined, auth: true })
      expect(client.popPipelined()).toBeUndefined()
    })

    test('popPipelined() answers in the order of the stream (F-134)', async () => {
      const { world } = box
      const { client, server } = await filled(world)
      const all = Array.from({ length: 100 }, (_, i) =>
        told(client, 'x', { pipelinedCount: i, auth: i % 3 === 0 }),
      )
      drop(world, server)
      await Promise.all(all)
      for (let i = 1; i < 100; i++) {
        expect(client.popPipelined()).toEqual({ count: i, auth: i % 3 === 0 })
      }
      expect(client.popPipelined()).toBeUndefined()
    })

    test('what is taken back takes its expected answers with it (F-134)', async () => {
      const { client } = await filled(box.world)
      const late = [1, 2, 3].map((pipelinedCount) =>
        told(client, 'x', { pipelinedCount, timeout: 5 }),
      )
      const stays = told(client, 'y', { pipelinedCount: 4, auth: true, timeout: 60_000 })
      await Promise.allSettled(late)
      let first: ReturnType<VConnection['popPipelined']>
      await eventually(() => (first = client.popPipelined()) !== undefined, 'its writer has it')
      expect(first).toEqual({ count: 4, auth: true })
      expect(client.popPipelined()).toBeUndefined()
      const lost = told(client, 'z', { pipelinedCount: 5 })
      const handle = new VCHandle(client.slot, client.version)
      handle.setFailed('over')
      await Promise.allSettled([stays, lost])
      expect(handle.popPipelined()).toBeUndefined()
    })

    test('timeout: nothing has left, so it is taken back, and never arrives (ETIMEDOUT)', async () => {
      const { world } = box
      const { client, server, bytes } = await filled(world)
      const before = client.writableLength
      const late = told(client, pattern(5000), { timeout: 5 })
      const patient = told(client, pattern(100, bytes), { timeout: 1_000_000 })
      const unhurried = told(client, pattern(100, bytes + 100))
      await expect(late).rejects.toMatchObject({ code: 'ETIMEDOUT', syscall: 'write' })
      expect(client.writableLength).toBe(before + 200)
      expect(client.failed).toBe(false)
      const { stream, recorder } = world.check(server)
      await Promise.all([patient, unhurried])
      client.doIoShutdown('write')
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(bytes + 200)
    })

    test('timeout: a message that has begun to leave goes on', async () => {
      const { world } = box
      const [client, server] = await world.pair(unixAddress())
      const bytes = 4 << 20
      const begun = told(client, pattern(bytes), { timeout: 1 })
      const behind = told(client, pattern(10), { timeout: 1 })
      await expect(behind).rejects.toMatchObject({ code: 'ETIMEDOUT' })
      const { stream } = world.check(server)
      await begun
      await eventually(() => stream.count === bytes, 'all arrives')
    })
  })
})

describe('how many bytes may wait', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('maxUnwritten refuses with EOVERCROWDED, ignoreOvercrowded does not (SW-5, SW-13, B-65)', async () => {
      const { world } = box
      const { client, server, bytes } = await filled(world)
      expect([client.maxUnwritten, client.overcrowded]).toEqual([64 << 20, false])
      const waiting = client.writableLength
      client.maxUnwritten = waiting + 10_000 // a few requests besides
      expect(client.overcrowded).toBe(false)
      const last = told(client, pattern(10_000, bytes)) // one message beyond it
      expect([client.overcrowded, client.writableLength]).toEqual([true, waiting + 10_000])
      await expect(told(client, 'no')).rejects.toMatchObject({ code: 'EOVERCROWDED' })
      expect(code(() => client.write('no', {}))).toBe('EOVERCROWDED')
      expect(code(() => client.write('no'))).toBe('EOVERCROWDED')
      const forced = told(client, pattern(10, bytes + 10_000), { ignoreOvercrowded: true })
      expect(client.writableLength).toBe(waiting + 10_010)
      const { stream } = world.check(server)
      await Promise.all([last, forced])
      await eventually(() => stream.count === bytes + 10_010, 'all that was accepted, nothing else')
      expect([client.overcrowded, client.writableLength]).toEqual([false, 0])
      await told(client, pattern(1, bytes + 10_010))
    })

    test('maxUnwritten 0 refuses all, Infinity is no number of bytes', async () => {
      const [client] = await box.world.pair()
      client.maxUnwritten = 0
      expect(client.overcrowded).toBe(true)
      expect(code(() => client.write('x', {}))).toBe('EOVERCROWDED')
      for (const wrong of [-1, 0.5, NaN, Infinity, '1', null, undefined]) {
        expect(code(() => (client.maxUnwritten = wrong as never))).toMatch(/^ERR_(OUT|INVALID)/)
      }
      expect(client.maxUnwritten).toBe(0)
    })

    test('marks: false above the high one, drained() at the low one, also after a refusal', async () => {
      const { world } = box
      const { client, server } = await filled(world)
      expect([client.writableHighWaterMark, client.writableLowWaterMark]).toEqual([262144, 131072])
      const waiting = client.writableLength
      client.setWriteMarks(waiting + 100, 1000)
      expect([client.writableHighWaterMark, client.writableLowWaterMark]).toEqual([
        waiting + 100,
        1000,
      ])
      expect(client.write(pattern(100), {})).toBe(true)
      expect(client.write(pattern(1), {})).toBe(false)
      client.maxUnwritten = 1000
      expect(code(() => client.write('no', {}))).toBe('EOVERCROWDED')
      const waits = client.drained()
      drop(world, server)
      await waits
      expect(client.writableLength).toBeLessThanOrEqual(1000)
      client.setWriteMarks(7)
      expect(client.writableLowWaterMark).toBe(3)
    })

    test('marks are of one object: a handle has its own', async () => {
      const { world } = box
      const { client } = await filled(world)
      const handle = new VCHandle(client.slot, client.version)
      handle.setWriteMarks(64 << 20)
      expect([client.write('x', {}), handle.write('x')]).toEqual([false, true])
      handle.maxUnwritten = 0 // this is of the connection
      expect(client.overcrowded).toBe(true)
    })

    test('marks that cannot be', async () => {
      const [client] = await box.world.pair()
      const wrong = [[-1], [1.5], ['1'], [null], [10, 11], [10, -1], [10, '1'], [Infinity]]
      for (const args of wrong) {
        expect(code(() => client.setWriteMarks(...(args as [number])))).toMatch(
          /^ERR_(OUT|INVALID)/,
        )
      }
      expect(client.writableHighWaterMark).toBe(262144)
    })
  })
})

describe('what waits is told when the connection ends (INV-10, SW-11)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)
    const ends: Record<string, [(s: Filled, world: World) => unknown, RegExp]> = {
      'doIoClose(errno)': [({ client }) => client.doIoClose(5), /^ERR_VC_CLOSED$/],
      'closeWithReset()': [({ client }) => client.closeWithReset(), /^ERR_VC_CLOSED$/],
      'closeGracefully(1)': [({ client }) => client.closeGracefully(1), /^ERR_VC_CLOSED$/],
      'doIoClose(), and the peer goes': [
        ({ client, server }) => (client.doIoClose(), server.doIoClose()),
        /^(ECONNRESET|EPIPE)$/,
      ],
      'setFailed()': [({ client }) => client.setFailed(), /^EFAILEDSOCKET$/],
      'setFailed() when armed': [
        ({ client }, world) => {
          client.doIoRead(() => {}, Infinity, world.buffer())
          client.setFailed(Object.assign(new Error('own words'), { code: 'ERR_OF_MINE' }))
        },
        /^ERR_OF_MINE$/,
      ],
      'a reset by the peer': [({ server }) => server.closeWithReset(), /^(ECONNRESET|EPIPE)$/],
      'the peer closes': [({ server }) => server.doIoClose(), /^(ECONNRESET|EPIPE)$/],
      'reactor.close(), and the peer goes': [
        ({ server }, world) => (server.closeWithReset(), void world.reactor.close()),
        /^(ECONNRESET|EPIPE|ERR_VC_CLOSED)$/,
      ],
    }

    test.each(Object.entries(ends))('%s: each once', async (_, [end, expected]) => {
      const { world } = box
      const { messages } = world.reactor.stats()
      const subject = await filled(world)
      const calls: string[] = []
      const all = Array.from({ length: 20 }, (_, i) => told(subject.client, pattern(i * 500 + 1)))
      for (let i = 0; i < 20; i++) {
        const completion = (error: { code: string } | null) =>
          void calls.push(error?.code ?? 'sent')
        subject.client.write(pattern(i * 500 + 1), { completion })
      }
      const drained = subject.client.drained()
      await end(subject, world)
      const results = await Promise.allSettled([...all, drained])
      for (const result of results) {
        expect(result.status).toBe('rejected')
        const { reason } = result as { reason: { code: string } }
        expect(reason.code).toMatch(result === results[20] ? /^E/ : expected)
      }
      await eventually(() => calls.length === 20, 'every callback')
      expect(calls.filter((call) => !expected.test(call))).toEqual([])
      await eventually(() => world.reactor.stats().messages <= messages, 'no message is left')
      expect(calls.length).toBe(20)
      subject.server.doIoClose()
    })

    test('doIoClose(): what was accepted leaves, and is told so (CL-1)', async () => {
      const { world } = box
      const { client, server, bytes } = await filled(world)
      const all = Array.from({ length: 20 }, (_, i) => told(client, pattern(100, bytes + i * 100)))
      client.doIoClose()
      expect(code(() => client.write('x', {}))).toBe('ERR_VC_CLOSED')
      const { stream, recorder } = world.check(server)
      await Promise.all(all)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(bytes + 2000)
    })

    test('doIoShutdown(): the same, and drained() resolves', async () => {
      const { world } = box
      const { client, server, bytes } = await filled(world)
      const last = told(client, pattern(100, bytes))
      client.doIoShutdown('write')
      expect(code(() => client.write('x', {}))).toBe('ERR_VC_SHUT')
      const drained = client.drained()
      const { stream, recorder } = world.check(server)
      await Promise.all([last, drained])
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(bytes + 100)
    })
  })
})

/** Reads all there is, into nowhere. */
function drop(world: World, vc: VConnection): void {
  const [buffer, reader] = world.pipe()
  vc.doIoRead(() => reader.consume(reader.readAvail), Infinity, buffer)
}

test('an address is still one of this thread (SK-3)', async () => {
  const reactor = new Reactor()
  const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => vc.doIoClose())
  const vc = await reactor.connect(listener.addresses[0])
  expect(Reactor.address(vc.id)).toBe(vc)
  await reactor.close()
  expect(Reactor.address(vc.id)).toBeUndefined()
})
