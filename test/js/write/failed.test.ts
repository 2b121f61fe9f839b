import { VCEvent, VCHandle, writeMany, type NetvcError, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
// Not of the public API: the numbers of what was asked for are put near their end.
import { numberFrom } from '../../../dist/notices.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld, type World } from '../support/fixture.js'
import { Recorder } from '../support/recorder.js'
import { code } from './told.js'

/** Ways to give bytes to a connection, and the code of the refusal. */
const ways: [name: string, write: (vc: VConnection) => string | Promise<string>][] = [
  ['small', (vc) => code(() => vc.write('x'))],
  ['large', (vc) => code(() => vc.write(Buffer.alloc(10_000)))],
  ['more than the high mark', (vc) => code(() => vc.write(Buffer.alloc(1 << 20)))],
  ['several pieces', (vc) => code(() => vc.write(['x', 'y']))],
  ['with options', (vc) => code(() => vc.write('x', {}))],
  ['with a promise', (vc) => vc.write('x', { completion: true }).then(ok, codeOf)],
  ['by id', (vc) => code(() => new VCHandle(vc.slot, vc.version).write('x'))],
  ['writeMany', (vc) => writeMany([vc], 'x').refused[0]?.error.code ?? 'ok'],
]
const ok = () => 'ok'
const codeOf = (error: { code: string }) => error.code

/** A connection that has failed, and whose user is in the middle of something else. */
async function failing(world: World, how: 'reset' | 'setFailed'): Promise<VConnection> {
  const [client, server] = await world.pair()
  const read = new Recorder()
  client.doIoRead(read.handler, Infinity, world.buffer())
  client.write('works')
  if (how === 'setFailed') {
    client.setFailed(Object.assign(new Error('mine'), { code: 'ERR_OF_MINE' }))
  } else {
    server.closeWithReset()
    await read.end()
  }
  return client
}

describe('a connection that has failed takes no message: its error is thrown (SW-1)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(ways)('reset by the peer: %s', async (_, write) => {
      const client = await failing(box.world, 'reset')
      await expect.poll(() => client.failed).toBe(true)
      expect(await write(client)).toBe('ECONNRESET')
      expect(await write(client)).toBe('ECONNRESET')
    })

    test.each([0, 1])('setFailed with nothing armed, then it is: side %i (INV-2)', async (side) => {
      const { world } = box
      const [client] = await world.pair()
      client.setFailed(Object.assign(new Error('too late'), { code: 'ETIMEDOUT' }))
      // A turn of its thread, which closes what it can tell to nobody. Here that is not known yet.
      if (threads > 0) client.inspect()
      expect(client.closed).toBe(false)
      const recorder = new Recorder()
      if (side === 0) client.doIoRead(recorder.handler, Infinity, world.buffer())
      else client.doIoWrite(recorder.handler, 5, world.filled(Buffer.from('abcde')))
      expect(await recorder.end()).toBe('ERROR')
      expect(client.error?.code).toBe('ETIMEDOUT')
      client.doIoClose()
    })

    test.each(ways)('setFailed, before anybody is told: %s', async (_, write) => {
      const client = await failing(box.world, 'setFailed')
      expect(await write(client)).toBe('ERR_OF_MINE')
      expect(await write(client)).toBe('ERR_OF_MINE')
    })

    test.each(ways)('closed by its id: %s', async (_, write) => {
      const [client] = await box.world.pair()
      client.write('works')
      new VCHandle(client.slot, client.version).doIoClose()
      await eventually(() => client.closed, 'closed')
      expect(await write(client)).toBe('ERR_VC_CLOSED')
    })

    test('in a handler that cannot know yet: false, the event follows, and then it throws', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [buffer, reader] = world.pipe()
      const seen: (string | boolean)[] = []
      client.doIoRead(
        (event) => {
          seen.push(VCEvent[event])
          if (event === VCEvent.READ_READY) {
            reader.consume(reader.readAvail)
            new VCHandle(client.slot, client.version).setFailed('over')
            seen.push(client.write('small'), client.write(Buffer.alloc(10_000)))
          } else {
            seen.push(code(() => client.write('x')))
          }
        },
        Infinity,
        buffer,
      )
      server.write('go')
      await eventually(() => seen.length === 5, 'the end is told')
      expect(seen).toEqual(['READ_READY', false, false, 'ERROR', 'EFAILEDSOCKET'])
      await expect(client.drained()).rejects.toMatchObject({ code: 'EFAILEDSOCKET' })
    })

    test('others that fail or close do not matter', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { stream } = world.check(server)
      void stream
      for (let i = 0; i < 5; i++) {
        await failing(world, i % 2 ? 'reset' : 'setFailed')
        expect(client.write('')).toBe(true)
      }
    })

    test('a stream: the callback has the error, and nothing is said to be sent', async () => {
      const { world } = box
      const [client] = await world.pair()
      const stream = client.stream()
      const errors: (string | undefined)[] = []
      stream.on('error', (error: NetvcError) => errors.push(error.code))
      client.setFailed('over')
      const written = await new Promise((resolve) => {
        stream.write('x', (error) => resolve((error as NetvcError | null)?.code))
      })
      expect(written).toBe('EFAILEDSOCKET')
      await eventually(() => stream.closed, 'closed')
      expect(errors).toEqual(['EFAILEDSOCKET'])
    })

    test('a web stream rejects', async () => {
      const [client] = await box.world.pair()
      const writer = client.writable.getWriter()
      writer.closed.catch(() => undefined)
      client.setFailed('over')
      await expect(writer.write(Buffer.from('x'))).rejects.toMatchObject({ code: 'EFAILEDSOCKET' })
    })
  })
})

describe('onFailed()', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('who gives up is not told, the others are, in order; giving up twice is harmless', async () => {
      const [client] = await box.world.pair()
      client.doIoRead(() => undefined, Infinity, box.world.buffer())
      const handle = new VCHandle(client.slot, client.version)
      const heard: string[] = []
      const giveUp = [client, handle, client, handle].map((vc, i) =>
        vc.onFailed((error) => heard.push(`${String(i)} ${error.code}`)),
      )
      giveUp[1]()
      giveUp[1]()
      client.setFailed('over')
      giveUp[2]() // the word is on its way already
      await eventually(() => heard.length === 2, 'two are told')
      await turn()
      expect(heard).toEqual(['0 EFAILEDSOCKET', '3 EFAILEDSOCKET'])
      for (const give of giveUp) give()
    })

    test('numbers of notices come around: those that still wait keep theirs (INV-10)', async () => {
      const { world } = box
      const [client] = await world.pair()
      client.doIoRead(() => undefined, Infinity, world.buffer())
      numberFrom(0x7fff_fff0)
      const heard: number[] = []
      for (let i = 0; i < 40; i++) client.onFailed(() => heard.push(i))
      // Once around: the first free number is behind those of above.
      numberFrom(0x7fff_fff0)
      const drained = Array.from({ length: 40 }, () =>
        client.write('x', { completion: true }).then(ok, codeOf),
      )
      expect(await Promise.all(drained)).toEqual(drained.map(ok))
      expect(heard).toEqual([])
      client.setFailed('over')
      await eventually(() => heard.length === 40, 'all are told')
      expect(heard).toEqual(Array.from({ length: 40 }, (_, i) => i))
    })
  })
})

describe('Reactor.pair with an acceptor', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('the acceptor is not called when the reactor is closed before', async () => {
      const reactor = box.world.another()
      let called = 0
      const active = reactor.pair(() => called++)
      expect(active.closed).toBe(false)
      await reactor.close()
      await turn()
      expect(called).toBe(0)
    })
  })
})
