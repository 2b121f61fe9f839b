import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { Reactor, VCEvent, VCHandle, type NetvcError, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { ended } from '../lifecycle/netvc-worker.js'
import { unixAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld, type World } from '../support/fixture.js'
import { Recorder } from '../support/recorder.js'
import { startWriter } from '../support/writer-worker.js'
import { code, filled, told } from './told.js'

const mine = Object.assign(new Error('mine'), { code: 'ERR_OF_MINE' })
const handleOf = (vc: VCHandle) => new VCHandle(vc.slot, vc.version)

/** Armed on both sides, so that it stays to be looked at when it has failed. */
async function armed(world: World) {
  const [client, server] = await world.pair(unixAddress())
  const [reading, writing] = [new Recorder(), new Recorder()]
  const reader = world.pipe()[1]
  client.doIoRead(reading.handler, Infinity, world.buffer())
  client.doIoWrite(writing.handler, Infinity, reader)
  return { client, server, reading, writing }
}

const seen = ({ code, message, errno, syscall }: NetvcError) => ({ code, message, errno, syscall })

describe('setFailed()', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('the first caller counts, everywhere and for ever (SK-4)', async () => {
      const { world } = box
      const { client, server, reading, writing } = await armed(world)
      const handle = handleOf(client)
      expect([client.failed, client.failure, client.closed]).toEqual([false, undefined, false])
      expect(handle.setFailed(mine)).toBe(true)
      for (const again of [client, handle, handleOf(client)]) {
        expect(again.setFailed('later')).toBe(false)
        expect([again.failed, again.failure?.code, again.failure?.message]).toEqual([
          true,
          'ERR_OF_MINE',
          'mine',
        ])
        expect(code(() => again.write('x', {}))).toBe('ERR_OF_MINE')
        await expect(again.drained()).rejects.toMatchObject({ code: 'ERR_OF_MINE' })
      }
      expect(handle.closed).toBe(true)
      expect(Reactor.address(client.id)).toBeUndefined()
      expect([await reading.end(), await writing.end()]).toEqual(['ERROR', 'ERROR'])
      expect(client.error).toMatchObject({ code: 'ERR_OF_MINE', message: 'mine' })
      const { recorder } = world.check(server)
      expect(await recorder.end()).toBe('EOS')
      client.doIoClose()
      expect(client.failure).toMatchObject({ code: 'ERR_OF_MINE', message: 'mine' })
    })

    const errors: [string, Parameters<VCHandle['setFailed']>[0], object][] = [
      ['nothing', undefined, { code: 'EFAILEDSOCKET' }],
      ['a text', 'my words', { code: 'EFAILEDSOCKET', message: 'my words' }],
      ['an empty text', '', { code: 'EFAILEDSOCKET', message: '' }],
      ['an Error', new Error('own'), { code: 'EFAILEDSOCKET', message: 'own' }],
      ['one with a code', mine, { code: 'ERR_OF_MINE', message: 'mine' }],
      [
        'one of the system',
        Object.assign(new Error('gone'), { code: 'ETIMEDOUT' }),
        { code: 'ETIMEDOUT', message: 'gone', errno: -110 },
      ],
      [
        'one that a refusal has, too',
        Object.assign(new Error('bad frame'), { code: 'EINVAL' }),
        { code: 'EINVAL', message: 'bad frame', errno: -22 },
      ],
      [
        'not ASCII, and long',
        `ü${'\u{1f600}'.repeat(5000)}"\\\n\0`,
        { code: 'EFAILEDSOCKET', message: `ü${'\u{1f600}'.repeat(5000)}"\\\n\0` },
      ],
    ]
    test.each(errors)(
      'with %s: code and text are the same for all (SK-4)',
      async (_, error, all) => {
        const { world } = box
        const { client, reading } = await armed(world)
        const handle = handleOf(client)
        const listened = new Promise<NetvcError>((resolve) => handle.onFailed(resolve))
        const worker = startWriter(
          `const alive = setInterval(() => {}, 1000)
         vc.onFailed(({ code, message, errno }) => {
           tell({ code, message, errno })
           clearInterval(alive)
         })
         tell('listening')`,
          { id: client.id },
        )
        const end = ended(worker)
        await once(worker, 'message')
        expect(client.setFailed(error)).toBe(true)
        await eventually(() => reading.events.length > 0, 'armed ones are told')
        for (const one of [await listened, client.failure!, handle.failure!, client.error!]) {
          expect(one).toMatchObject(all)
        }
        const late = new Promise<NetvcError>((resolve) => client.onFailed(resolve))
        expect(seen(await late)).toEqual(seen(await listened))
        expect((await end).told[1]).toMatchObject(all)
      },
    )

    test('armed operations end with ERROR once, completions with the error (INV-2, SW-11)', async () => {
      const { world } = box
      const { client, server } = await filled(world)
      const [reading, writing] = [new Recorder(), new Recorder()]
      const [buffer, reader] = world.pipe()
      client.doIoRead(reading.handler, Infinity, world.buffer())
      client.doIoWrite(writing.handler, Infinity, reader)
      buffer.write(Buffer.alloc(100))
      const all = Array.from({ length: 30 }, () => told(client, Buffer.alloc(1000)))
      const calls: unknown[] = []
      client.write('x', { completion: (error) => calls.push(error?.code) })
      client.setWriteMarks(0)
      const drained = client.drained()
      drained.catch(() => {})
      client.setFailed(mine)
      const results = await Promise.allSettled([...all, drained])
      for (const { reason } of results as { reason?: unknown }[]) {
        expect(reason).toMatchObject({ code: 'ERR_OF_MINE', message: 'mine' })
      }
      await eventually(() => reading.events.length > 0 && writing.events.length > 0, 'told')
      await turn()
      const ends = (r: Recorder) => r.names.filter((name) => !name.endsWith('READY'))
      expect([ends(reading), ends(writing), calls]).toEqual([['ERROR'], ['ERROR'], ['ERR_OF_MINE']])
      expect(client.writableLength).toBe(0)
      // Who arms again hears it again.
      const again = new Recorder()
      client.doIoRead(again.handler, Infinity, world.buffer())
      expect(await again.end()).toBe('ERROR')
      server.doIoClose()
    })

    test('with nothing armed it is closed by that', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { recorder } = world.check(server)
      expect(client.setFailed(mine)).toBe(true)
      await eventually(() => client.closed, 'closed')
      expect(client.failure).toMatchObject({ code: 'ERR_OF_MINE' })
      expect(client.setFailed('more')).toBe(false)
      expect(await recorder.end()).toBe('EOS')
    })

    test('in a handler, while a message is sent, after a close: nothing twice', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const recorder = new Recorder((event) => {
        if (event === VCEvent.READ_READY) expect(client.setFailed(mine)).toBe(true)
      })
      client.doIoRead(recorder.handler, Infinity, world.buffer())
      server.write('x')
      expect(await recorder.end()).toBe('ERROR')
      client.doIoClose()
      const [other] = await world.pair()
      const failures: string[] = []
      other.onFailed((error) => failures.push(error.code))
      other.doIoClose()
      expect(other.setFailed(mine)).toBe(false)
      await eventually(() => failures.length > 0, 'told')
      await turn()
      expect(failures).toEqual(['ERR_VC_CLOSED'])
      expect([other.failed, other.failure]).toEqual([false, undefined])
    })

    test('wrong arguments', async () => {
      const [client] = await box.world.pair()
      for (const wrong of [null, 1, {}, Symbol('x'), 5n]) {
        expect(code(() => client.setFailed(wrong as never))).toBe('ERR_INVALID_ARG_TYPE')
      }
      for (const wrong of [null, undefined, 'f', {}]) {
        expect(code(() => client.onFailed(wrong as never))).toBe('ERR_INVALID_ARG_TYPE')
      }
      expect(client.failed).toBe(false)
    })
  })
})

describe('onFailed(): exactly once for every interleaving (SK-7)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('before, after, while it fails; never on the stack; forgotten ones never', async () => {
      const { world } = box
      const { client } = await armed(world)
      const calls: string[] = []
      const listen = (name: string, vc: VCHandle = client) =>
        vc.onFailed((error) => calls.push(`${name} ${error.code}`))
      listen('before')
      listen('by handle', handleOf(client))
      const forget = listen('forgotten before')
      const forgetLater = listen('forgotten after')
      forget()
      forget()
      client.onFailed(() => {
        calls.push('outer')
        listen('in a listener')
      })
      client.setFailed(mine)
      listen('after')
      listen('after, by handle', handleOf(client))
      listen('after, forgotten')()
      forgetLater()
      expect(calls).toEqual([])
      await eventually(() => calls.length >= 6, 'all are told')
      client.doIoClose()
      listen('after the close')
      listen('after the close, forgotten')()
      await eventually(() => calls.length >= 7, 'the last, too')
      await turn()
      const e = 'ERR_OF_MINE'
      expect([...calls].sort()).toEqual([
        `after ${e}`,
        `after the close ${e}`,
        `after, by handle ${e}`,
        `before ${e}`,
        `by handle ${e}`,
        `in a listener ${e}`,
        'outer',
      ])
    })

    const causes: Record<string, [(c: VConnection, s: VConnection) => unknown, RegExp]> = {
      'doIoClose()': [(c) => c.doIoClose(), /^ERR_VC_CLOSED$/],
      'closeGracefully()': [(c, s) => (c.closeGracefully(), s.doIoClose()), /^ERR_VC_CLOSED$/],
      'closeWithReset()': [(c) => c.closeWithReset(), /^ERR_VC_CLOSED$/],
      'a reset by the peer': [(_, s) => s.closeWithReset(), /^ECONNRESET$/],
      'a close by a handle': [(c) => handleOf(c).doIoClose(), /^ERR_VC_CLOSED$/],
      'the reactor': [(c) => void c.reactor.close(), /^ERR_VC_CLOSED$/],
      'setFailed() and closed at once': [
        (c) => (c.setFailed(mine), c.doIoClose()),
        /^ERR_OF_MINE$/,
      ],
    }
    test.each(Object.entries(causes))('%s: one call', async (_, [cause, expected]) => {
      const { world } = box
      const [client, server] = await world.pair()
      const recorder = new Recorder()
      client.doIoRead(recorder.handler, Infinity, world.buffer())
      const calls: string[] = []
      client.onFailed((error) => calls.push(error.code))
      handleOf(client).onFailed((error) => calls.push(error.code))
      cause(client, server)
      await eventually(() => calls.length >= 2, 'told')
      await turn()
      expect(calls.filter((call) => expected.test(call))).toEqual(calls)
      expect(calls.length).toBe(2)
      client.doIoClose()
      await turn()
      expect(calls.length).toBe(2)
    })

    test.each([
      ['doIoClose()', (c: VConnection) => c.doIoClose()],
      ['closeGracefully()', (c: VConnection) => c.closeGracefully()],
      ['closeWithReset()', (c: VConnection) => c.closeWithReset()],
    ])('%s: who asks after it is told the failure before it (SK-4, SK-7)', async (_, close) => {
      const { client } = await armed(box.world)
      const calls: string[] = []
      client.setFailed(mine)
      close(client)
      client.onFailed((error) => calls.push(error.code))
      expect(client.failure).toMatchObject({ code: 'ERR_OF_MINE', message: 'mine' })
      expect(calls).toEqual([])
      await eventually(() => calls.length === 1, 'told')
      expect(calls).toEqual(['ERR_OF_MINE'])
      expect(() => client.write('late')).toThrow(/ERR_OF_MINE/)
    })

    test('the end of the peer is no failure; the close after it is an orderly end', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { recorder } = world.check(client)
      const calls: string[] = []
      client.onFailed((error) => calls.push(error.code))
      server.doIoClose()
      expect(await recorder.end()).toBe('EOS')
      await turn()
      expect([calls, client.failed]).toEqual([[], false])
      client.doIoClose()
      await eventually(() => calls.length === 1, 'told')
      expect(calls).toEqual(['ERR_VC_CLOSED'])
    })

    test('two workers race to fail 300 connections: one wins each, all hear the same (SK-4, SK-7)', async () => {
      const { world } = box
      const go = new Int32Array(new SharedArrayBuffer(4))
      const subjects = await Promise.all(Array.from({ length: 300 }, () => armed(world)))
      const ids = subjects.map(({ client }) => client.id)
      const body = `
        const go = workerData.go
        const won = [], heard = []
        const all = []
        const listen = (i) => all.push(new Promise((resolve) => {
          let calls = 0
          handles[i].onFailed((error) => {
            if (calls++ > 0) heard.push('twice')
            heard.push([i, error.code, error.message].join())
            setImmediate(resolve)
          })
        }))
        const handles = workerData.ids.map((one) => Reactor.address(one))
        handles.forEach((_, i) => i % 3 === 0 && listen(i))
        tell('ready')
        Atomics.wait(go, 0, 0)
        for (let n = 0; n < handles.length; n++) {
          const i = writer ? n : (n * 7) % handles.length
          if (i % 3 === 1) listen(i)
          if (handles[i].setFailed('by ' + writer)) won.push(i)
          if (i % 3 === 2) listen(i)
        }
        const alive = setInterval(() => {}, 1000)
        await Promise.all(all)
        clearInterval(alive)
        tell({ won, heard })`
      const workers = [0, 1].map((writer) => startWriter(body, { id: 0n, ids, go, writer }))
      const over = Promise.all(workers.map(ended))
      await Promise.all(workers.map((w: Worker) => once(w, 'message')))
      const here = subjects.map(
        ({ client }) =>
          new Promise<string>((resolve) => client.onFailed((e) => resolve(e.message))),
      )
      Atomics.store(go, 0, 1)
      Atomics.notify(go, 0)
      const results = await over
      const [a, b] = results.map((r) => r.told[1] as { won: number[]; heard: string[] })
      expect([...a.won, ...b.won].sort((x, y) => x - y)).toEqual(ids.map((_, i) => i))
      const winner = (i: number) => (a.won.includes(i) ? 'by 0' : 'by 1')
      const expected = ids.map((_, i) => `${String(i)},EFAILEDSOCKET,${winner(i)}`)
      expect([...a.heard].sort()).toEqual([...expected].sort())
      expect([...b.heard].sort()).toEqual([...expected].sort())
      expect(await Promise.all(here)).toEqual(ids.map((_, i) => winner(i)))
      for (const { client, server, reading, writing } of subjects) {
        expect([await reading.end(), await writing.end()]).toEqual(['ERROR', 'ERROR'])
        client.doIoClose()
        server.doIoClose()
      }
    })

    test('setLogOff(): not available for anybody, and goes on (SK-9)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      expect([client.available, server.available]).toEqual([true, true])
      handleOf(client).setLogOff()
      expect([client.available, handleOf(client).available]).toEqual([false, false])
      expect([client.closed, client.failed]).toEqual([false, false])
      expect(Reactor.address(client.id)).toBe(client)
      await told(client, 'still there')
      server.doIoClose()
      expect(server.available).toBe(false)
    })
  })
})
