import { tunnel, VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { onPairs, useWorld, World } from '../support/fixture.js'
import { Recorder } from '../support/recorder.js'
import { bufferCalls, connectionCalls, states, type State, type Subject } from './table.js'

/** `ok`, the code that was thrown, or `rejects` with the code. */
async function outcome(call: () => unknown): Promise<string> {
  let value: unknown
  try {
    value = call()
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
  if (!(value instanceof Promise)) return 'ok'
  return value.then(
    () => 'ok',
    (error: Error & { code?: string }) => `rejects ${error.code ?? error.message}`,
  )
}

async function open(world: World): Promise<Subject> {
  const [vc, peer, listener] = await world.pair()
  const [other] = await world.pair()
  const [buffer, reader] = world.pipe()
  const read = vc.doIoRead(() => {}, 100, world.buffer())
  const write = vc.doIoWrite(() => {}, 100, world.pipe()[1])
  return { world, vc, peer, read, write, buffer, reader, listener, other, reactor: world.reactor }
}

/** Brings a connection into a state, and makes the call there. */
const enter: Record<State, (s: Subject, call: () => unknown) => Promise<string>> = {
  open: (_, call) => outcome(call),
  async 'half-closed by the peer'({ world, vc, peer }, call) {
    const told = world.check(vc)
    peer.doIoShutdown('write')
    expect(await told.recorder.end()).toBe('EOS')
    return outcome(call)
  },
  async 'shut for writing'({ vc }, call) {
    vc.doIoShutdown('write')
    return outcome(call)
  },
  async 'shut for reading'({ vc }, call) {
    vc.doIoShutdown('read')
    return outcome(call)
  },
  async 'shut both ways'({ vc }, call) {
    vc.doIoShutdown('both')
    return outcome(call)
  },
  'closing in a handler'({ world, vc, peer }, call) {
    return new Promise((resolve) => {
      const recorder = new Recorder(() => {
        vc.doIoClose()
        resolve(outcome(call))
      })
      vc.doIoRead(recorder.handler, 1, world.buffer())
      peer.write('x')
    })
  },
  async 'closing with unsent bytes'({ vc, peer }, call) {
    while (vc.write(Buffer.alloc(100_000))) continue
    vc.doIoClose()
    const result = await outcome(call)
    // What was written before is still sent (CL-1): otherwise reactor.close() would wait for it.
    peer.doIoClose(104)
    return result
  },
  async closed({ vc }, call) {
    vc.doIoClose()
    return outcome(call)
  },
  async tunneled({ world, vc }, call) {
    const [third] = await world.pair()
    tunnel(vc, third)
    return outcome(call)
  },
  async 'reactor closed'({ reactor }, call) {
    await reactor.close()
    return outcome(call)
  },
}

describe('what is allowed when', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(states)('%s: every call on a connection (VC-1, VC-5, CL-2, D3)', async (state) => {
      const expected: Record<string, string> = {}
      const found: Record<string, string> = {}
      for (const [name, [call, outcomes]] of Object.entries(connectionCalls)) {
        const ok = onPairs && name === 'vc.sendOOB' ? 'rejects EOPNOTSUPP' : 'ok'
        expected[name] = outcomes[state] ?? ok
        const world = state === 'reactor closed' ? new World(threads) : box.world
        const subject = await open(world)
        found[name] = await enter[state](subject, () => call(subject))
        if (world !== box.world) await world.close()
        for (const vc of [subject.vc, subject.peer, subject.other]) vc.doIoClose()
        await subject.listener.close()
      }
      expect(found).toEqual(expected)
    })

    test('every call on a buffer that was freed, on a reader that was given up (BUF-2)', () => {
      const expected: Record<string, string[]> = {}
      const found: Record<string, string[]> = {}
      const code = (call: () => unknown) => {
        try {
          call()
          return 'ok'
        } catch (error) {
          return (error as { code?: string }).code ?? String(error)
        }
      }
      for (const [name, [call, ...outcomes]] of Object.entries(bufferCalls)) {
        expected[name] = ['ok', ...outcomes]
        const make = () => {
          const [buffer, reader] = box.world.pipe()
          buffer.write('0123456789')
          return [buffer, reader] as const
        }
        const live = box.world.buffer()
        const [buffer, reader] = make()
        const [freed, itsReader] = make()
        freed.free()
        const stranger = box.world.filled(Buffer.from('another one')) // may get the same place
        const [third, closed] = make()
        closed.dealloc()
        const later = third.allocReader() // may get the same place
        found[name] = [
          code(() => call(buffer, reader, live)),
          code(() => call(freed, itsReader, live)),
          code(() => call(third, closed, live)),
        ]
        expect(stranger.read().toString()).toBe('another one')
        if (name !== 'buffer.free') expect(later.readAvail).toBeGreaterThan(0)
      }
      expect(found).toEqual(expected)
    })

    test('what the properties of a closed connection say (CL-4)', async () => {
      const { vc, read, write } = await open(box.world)
      const { id, remoteAddress } = vc
      vc.doIoClose()
      expect([vc.closed, vc.id, vc.remoteAddress, vc.error]).toEqual([
        true,
        id,
        remoteAddress,
        undefined,
      ])
      expect([vc.writableLength, vc.inspect()]).toEqual([0, undefined])
      expect([read.nbytes, read.ndone, read.buffer, write.reader]).toEqual([
        0,
        0,
        undefined,
        undefined,
      ])
    })

    test('cancelling one operation leaves the buffer to the one that fills it now (AD-4)', async () => {
      const { world } = box
      const [buffer, reader] = world.pipe({ blockSize: 4096, waterMark: 0 })
      const [first] = await world.pair()
      const [second, peer] = await world.pair()
      first.doIoRead(() => {}, 10, buffer)
      first.doIoRead(null, 0, null)
      first.doIoRead(() => {}, 0, buffer)
      // Consuming later than in the handler resumes whoever is the source of the buffer.
      const recorder = new Recorder((event) => {
        if (event === VCEvent.READ_READY) setImmediate(() => reader.consume(reader.readAvail))
      })
      second.doIoRead(recorder.handler, 1_000_000, buffer)
      first.doIoRead(null, 0, null)
      peer.write(Buffer.alloc(1_000_000))
      expect(await recorder.end()).toBe('READ_COMPLETE')
    })

    test('an operation whose buffer was freed can be ended (VIO-2, BUF-2)', async () => {
      const { vc, world } = await open(box.world)
      const [buffer, reader] = world.pipe()
      const vio = vc.doIoWrite(() => {}, 100, reader)
      buffer.free()
      expect(await outcome(() => vio.done())).toBe('ok')
      vio.reenable()
      const incoming = world.buffer()
      const reading = vc.doIoRead(() => {}, 100, incoming)
      incoming.free()
      expect(await outcome(() => reading.done())).toBe('ok')
    })
  })
})

describe('a connect that is pending', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)
    const begin = async (
      world: World,
      signal?: AbortSignal,
    ): Promise<[Promise<VConnection>, VConnection[]]> => {
      const accepted: VConnection[] = []
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => accepted.push(vc))
      const pending = world.reactor.connect(listener.addresses[0], signal ? { signal } : {})
      pending.catch(() => {})
      return [pending, accepted]
    }

    test.each([0, 1, 2, 3, 10])(
      'reactor.close() %i steps later rejects it (ERR_REACTOR_CLOSED)',
      async (steps) => {
        const [pending, accepted] = await begin(box.world)
        for (let i = 0; i < steps; i++) await Promise.resolve()
        const closing = box.world.reactor.close()
        expect(await outcome(() => pending)).toBe('rejects ERR_REACTOR_CLOSED')
        await closing
        expect(accepted.filter((vc) => !vc.closed)).toEqual([])
      },
    )

    test.each([0, 1, 2, 3, 10])(
      'abort %i steps later rejects it, and closes it (ABORT_ERR)',
      async (steps) => {
        const controller = new AbortController()
        const [pending] = await begin(box.world, controller.signal)
        for (let i = 0; i < steps; i++) await Promise.resolve()
        controller.abort(new Error('why'))
        const error = await pending.then(
          () => undefined,
          (e: Error & { code: string }) => e,
        )
        expect(error).toMatchObject({
          name: 'AbortError',
          code: 'ABORT_ERR',
          cause: { message: 'why' },
        })
      },
    )

    test('a listen that is pending when the reactor is closed rejects', async () => {
      const pending = box.world.reactor.listen('tcp://127.0.0.1:0', () => {})
      const result = outcome(() => pending)
      await box.world.reactor.close()
      expect(await result).toBe('rejects ERR_REACTOR_CLOSED')
    })
  })
})
