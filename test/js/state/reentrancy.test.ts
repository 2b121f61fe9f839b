import { closeSync, openSync } from 'node:fs'
import {
  tunnel,
  VCEvent,
  type IOBufferReader,
  type MIOBuffer,
  type VConnection,
  type VIO,
} from 'netvc'
import { afterAll, describe, expect, test } from 'vitest'
import { abstractAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { turn, useWorld, type World } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

/** What a handler has at hand. */
interface Scene {
  world: World
  vc: VConnection
  peer: VConnection
  /** Of the operation that was told; absent when a connection was accepted. */
  vio: VIO | undefined
  recorder: Recorder
  /** Where the operation reads to, or writes from. */
  buffer: MIOBuffer
  reader: IOBufferReader
  /** Not touched by anything else. */
  other: VConnection
  listener: { close(): Promise<void> } | undefined
  fresh: () => [MIOBuffer, IOBufferReader]
}

type Call = (s: Scene) => unknown

// Where the lines of a trace go.
const nowhere = openSync('/dev/null', 'w')
afterAll(() => closeSync(nowhere))

const calls: Record<string, Call> = {
  'doIoClose, own': ({ vc }) => vc.doIoClose(),
  'doIoClose, as an abort': ({ vc }) => vc.doIoClose(104),
  "doIoClose, the peer's": ({ peer }) => peer.doIoClose(),
  'doIoClose, both': ({ vc, peer }) => {
    peer.doIoClose()
    vc.doIoClose()
  },
  "doIoShutdown('read')": ({ vc }) => vc.doIoShutdown('read'),
  "doIoShutdown('write')": ({ vc }) => vc.doIoShutdown('write'),
  "doIoShutdown('both')": ({ vc }) => vc.doIoShutdown('both'),
  "doIoShutdown('write'), the peer's": ({ peer }) => peer.closed || peer.doIoShutdown('write'),
  doIoRead: ({ vc, recorder, fresh }) => vc.doIoRead(recorder.handler, 7, fresh()[0]),
  'doIoRead, cancel': ({ vc }) => vc.doIoRead(null, 0, null),
  doIoWrite: ({ vc, fresh }) => {
    const [buffer, reader] = fresh()
    buffer.write(pattern(20))
    vc.doIoWrite(new Recorder().handler, 20, reader)
  },
  'doIoWrite, cancel': ({ vc }) => vc.doIoWrite(null, 0, null),
  write: ({ vc }) => vc.write(pattern(100)),
  'write, large': ({ vc }) => vc.write(pattern(100_000)),
  'write, then doIoClose': ({ vc }) => {
    vc.write(pattern(100_000))
    vc.doIoClose()
  },
  drained: ({ vc }) => void vc.drained().catch(() => {}),
  'vio.reenable': ({ vio }) => vio?.reenable(),
  'vio.reenableRe': ({ vio }) => vio?.reenableRe(),
  'vio.done': ({ vio }) => vio?.done(),
  'vio.nbytes up': ({ vio, buffer }) => {
    if (!vio || vio.nbytes === Infinity) return
    vio.nbytes += 5
    if (vio.side === 1) buffer.write(pattern(5))
    vio.reenable()
  },
  'vio.nbytes down': ({ vio }) => vio && (vio.nbytes = vio.ndone),
  'vio.setContinuation(null)': ({ vio }) => vio?.setContinuation(null),
  'buffer.free': ({ buffer }) => buffer.free(),
  'listener.close': ({ listener }) => void listener?.close(),
  'reactor.close': ({ world }) => void world.reactor.close(),
  tunnel: ({ vc, other }) => tunnel(vc, other),
  'tunnel with the peer of another, closed at once': ({ vc, other }) => tunnel(vc, other).close(),
  'tunnel.close by its leg': ({ vc, other }) => {
    tunnel(other, vc)
    vc.doIoClose()
  },
  'tunnel, with timeouts': ({ vc, other }) => tunnel(vc, other, { inactivityTimeout: 1 }),
  'setInactivityTimeout, 1 ms': ({ vc }) => vc.setInactivityTimeout(1),
  'setInactivityTimeout, then cancelled': ({ vc }) => {
    vc.setInactivityTimeout(1)
    vc.setInactivityTimeout(0)
  },
  'setActiveTimeout, then closed': ({ vc }) => {
    vc.setActiveTimeout(1)
    vc.doIoClose()
  },
  addToKeepAliveQueue: ({ vc }) => vc.addToKeepAliveQueue(),
  'addToActiveQueue, then the other queue': ({ vc }) => {
    void vc.addToActiveQueue()
    vc.addToKeepAliveQueue()
    vc.removeFromQueues()
  },
  sendOOB: ({ vc }) => void vc.sendOOB('!').catch(() => {}),
  'sendOOB, then closed': ({ vc }) => {
    void vc.sendOOB('!').catch(() => {})
    vc.doIoClose()
  },
  setOriginTrace: ({ vc }) => vc.setOriginTrace({ fd: nowhere }),
  migrate: ({ world, vc }) => void (world.threads > 0 && vc.migrate(0).catch(() => {})),
  'migrate, then closed': ({ world, vc }) => {
    if (world.threads > 0) void vc.migrate(0).catch(() => {})
    vc.doIoClose()
  },
  inspect: ({ vc }) => vc.inspect(),
  nothing: () => {},
}

interface Armed {
  /** Which event is waited for, on a recorder that makes the call at the first of them. */
  arm: (s: Omit<Scene, 'vio' | 'recorder'>, recorder: Recorder) => void
  event: readonly VCEvent[]
}

const reading =
  (nbytes: number, then: (peer: VConnection) => void): Armed['arm'] =>
  ({ vc, peer, buffer }, recorder) => {
    vc.doIoRead(recorder.handler, nbytes, buffer)
    then(peer)
  }

const events: Record<string, Armed> = {
  READ_READY: {
    arm: reading(Infinity, (peer) => peer.write(pattern(100))),
    event: [VCEvent.READ_READY],
  },
  READ_COMPLETE: {
    arm: reading(10, (peer) => peer.write(pattern(100))),
    event: [VCEvent.READ_COMPLETE],
  },
  EOS: { arm: reading(10, (peer) => peer.doIoShutdown('write')), event: [VCEvent.EOS] },
  WRITE_READY: {
    arm({ vc, buffer, reader }, recorder) {
      buffer.write(pattern(10))
      vc.doIoWrite(recorder.handler, 1000, reader)
    },
    event: [VCEvent.WRITE_READY],
  },
  WRITE_COMPLETE: {
    arm({ vc, buffer, reader }, recorder) {
      buffer.write(pattern(10))
      vc.doIoWrite(recorder.handler, 10, reader)
    },
    event: [VCEvent.WRITE_COMPLETE],
  },
  ERROR: {
    // To a peer that is gone; the kernel may say so as a reset (WR-10).
    arm({ world, vc, peer, buffer, reader }, recorder) {
      buffer.write(pattern(100_000))
      const ended = world.check(vc).recorder.end()
      peer.doIoClose()
      void ended.then(() => vc.doIoWrite(recorder.handler, 1e9, reader))
    },
    event: [VCEvent.ERROR, VCEvent.EOS],
  },
}

/** Everything that was under way at this reactor has been told, by what another connection does. */
async function settled(world: World): Promise<void> {
  if (world.reactor.closed) return world.reactor.close()
  for (let i = 0; i < 2; i++) {
    const [near, far] = await world.pair()
    near.write(pattern(10))
    await world.check(far, 10).recorder.end()
    await turn()
  }
}

const connect = async (world: World): Promise<Omit<Scene, 'vio' | 'recorder'>> => {
  const [vc, peer, listener] = await world.pair(abstractAddress())
  const [other] = await world.pair(abstractAddress())
  const [buffer, reader] = world.pipe()
  return { world, vc, peer, buffer, reader, other, listener, fresh: () => world.pipe() }
}

describe('every call inside every handler (INV-16, INV-1, INV-2)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    for (const [name, { arm, event }] of Object.entries(events)) {
      test.each(Object.entries(calls))(`${name}: %s`, async (what, call) => {
        const { world } = box
        const scene = await connect(world)
        let after: number | undefined
        const made = new Promise<unknown>((resolve) => {
          const recorder: Recorder = new Recorder(
            (told, vio) => {
              if (after !== undefined || !event.includes(told)) return
              after = 0
              try {
                call({ ...scene, vio, recorder })
                resolve('ok')
              } catch (error) {
                resolve(error)
              }
            },
            { nested: true },
          )
          arm(scene, recorder)
        })
        // Who has been told of the failure gets it again, as the answer to write() (SW-1).
        const refused = name === 'ERROR' && what.startsWith('write')
        if (refused) expect(await made).toMatchObject({ code: 'EPIPE', syscall: 'write' })
        else expect(await made).toBe('ok')
        await settled(world)
      })
    }

    test.each(Object.entries(calls))('accept: %s', async (_, call) => {
      const { world } = box
      const { other, peer } = await connect(world)
      const address = abstractAddress()
      let told!: (result: unknown) => void
      const made = new Promise<unknown>((resolve) => (told = resolve))
      const listener = await world.reactor.listen(address, (vc) => {
        const [buffer, reader] = world.pipe()
        const fresh = () => world.pipe()
        const recorder = new Recorder()
        try {
          call({
            world,
            vc,
            peer,
            vio: undefined,
            recorder,
            buffer,
            reader,
            other,
            listener,
            fresh,
          })
          told('ok')
        } catch (error) {
          told(error)
        }
      })
      const connecting = world.reactor
        .connect(address)
        .catch((error: { code: string }) => error.code)
      expect(await made).toBe('ok')
      const result = await connecting
      if (typeof result === 'string') expect(result).toBe('ERR_REACTOR_CLOSED')
      await settled(world)
    })
  })
})

describe('reenableRe (RE-5)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('inline its events come before it returns, in order; else later (RE-5, INV-5)', async () => {
      const { world } = box
      const { vc, peer, buffer, reader } = await connect(world)
      const log: string[] = []
      const recorder: Recorder = new Recorder(
        (event, vio) => {
          log.push(`${VCEvent[event]} ${String(vio.ndone)}`)
          if (event !== VCEvent.WRITE_READY || log.length > 1) return
          buffer.write(pattern(30))
          vio.reenableRe()
          log.push('returned')
        },
        { nested: true },
      )
      vc.doIoWrite(recorder.handler, 30, reader)
      expect(await world.check(peer, 30).recorder.end()).toBe('READ_COMPLETE')
      expect(await recorder.end()).toBe('WRITE_COMPLETE')
      const inline = ['WRITE_READY 0', 'WRITE_COMPLETE 30', 'returned']
      expect(log).toEqual(
        threads === 0 ? inline : ['WRITE_READY 0', 'returned', 'WRITE_COMPLETE 30'],
      )
    })
  })
})
