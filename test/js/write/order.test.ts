import { tunnel, VCHandle, writeMany, type MIOBuffer, type VConnection, type VIO } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, onPairs, useWorld, type World } from '../support/fixture.js'
import { patience } from '../support/patience.js'

const cell = new Int32Array(new SharedArrayBuffer(4))

/** Lets other threads go on while this one stays in its call: what waits for the tick stays here. */
function meanwhile(happened: () => boolean, what: string): void {
  const limit = performance.now() + patience
  while (!happened()) {
    if (performance.now() > limit) expect.fail(`never happened: ${what}`)
    Atomics.wait(cell, 0, 0, 1)
  }
}

interface Scene {
  world: World
  vc: VConnection
  /** The same connection by its id. */
  handle: VCHandle
  /** A write operation that waits for bytes of `out`. */
  vio: VIO
  out: MIOBuffer
  /** A net thread that it is not on. */
  elsewhere: number
}

const filled = ({ world }: Scene) => world.filled(Buffer.from('b'))
const drop = (promise: Promise<unknown>) => {
  promise.catch(() => undefined)
}

/** Calls that send, that end something, or that tell about what was sent; and what follows `A`. */
const calls: [name: string, call: (scene: Scene) => unknown, after?: string][] = [
  ['doIoWrite', (s) => s.vc.doIoWrite(() => undefined, 1, filled(s)), 'b'],
  ['reenable', (s) => (s.out.write('b'), s.vio.reenable()), 'b'],
  ['reenableRe', (s) => (s.out.write('b'), s.vio.reenableRe()), 'b'],
  ['nbytes', (s) => (s.vio.nbytes = 7)],
  ['done', (s) => (s.out.write('b'), s.vio.done(), s.vio.reenable()), 'b'],
  ['trapWriteBufferEmpty', (s) => s.vc.trapWriteBufferEmpty()],
  ['write, large', (s) => s.vc.write('b'.repeat(5000)), 'b'.repeat(5000)],
  ['write, several pieces', (s) => s.vc.write(['b', 'b']), 'bb'],
  ['write, with options', (s) => s.vc.write('b', {}), 'b'],
  ['write, by id', (s) => s.handle.write('b'), 'b'],
  ['writeMany', (s) => writeMany([s.vc], 'b'), 'b'],
  ['writeMany, by id', (s) => writeMany([s.handle, s.vc.id], 'b'), 'bb'],
  ['sendOOB', (s) => drop(s.vc.sendOOB('b'))],
  ['cancelOOB', (s) => s.vc.cancelOOB()],
  ['setSocketOptions', (s) => s.vc.setSocketOptions({ noDelay: true })],
  ['socketOptions', (s) => s.vc.socketOptions()],
  ['tcpInfo', (s) => s.vc.tcpInfo()],
  ['setOriginTrace', (s) => s.vc.setOriginTrace(false)],
  ['setOriginTraceAddr', (s) => s.vc.setOriginTraceAddr('192.0.2.1')],
  ['setOriginTracePort', (s) => s.vc.setOriginTracePort(1)],
  ['addToKeepAliveQueue', (s) => s.vc.addToKeepAliveQueue()],
  ['addToActiveQueue', (s) => drop(Promise.resolve(s.vc.addToActiveQueue()))],
  ['inspect', (s) => s.vc.inspect()],
  ['writableLength', (s) => s.vc.writableLength],
  ['writableLength, by id', (s) => s.handle.writableLength],
  ['overcrowded', (s) => s.vc.overcrowded],
  ['overcrowded, by id', (s) => s.handle.overcrowded],
  ['drained', (s) => drop(s.vc.drained())],
  ['drained, by id', (s) => drop(s.handle.drained())],
  ['Reactor.connections', (s) => s.vc.reactor.connections()],
  ['Reactor.stats', (s) => s.vc.reactor.stats()],
  ['Reactor.setQueueLimits', (s) => s.vc.reactor.setQueueLimits({ maxQueued: 100 })],
  ['tunnel', (s) => tunnel(s.vc, s.world.reactor.pair()[0])],
  ['doIoShutdown', (s) => s.vc.doIoShutdown('write')],
  ['doIoClose', (s) => s.vc.doIoClose()],
  ['doIoClose, by id', (s) => s.handle.doIoClose()],
  ['closeGracefully', (s) => s.vc.closeGracefully(100)],
  ['closeGracefully, by id', (s) => s.handle.closeGracefully(100)],
]

/** The inline engine has one place only. */
const betweenThreads: typeof calls = [['migrate', (s) => drop(s.vc.migrate(s.elsewhere))]]

/** The peer is read by a net thread, so that what has arrived can be seen from inside a call. */
async function scene(world: World, transport: string) {
  const far = world.another(1)
  const [into, arrived] = world.pipe()
  const [out, reader] = world.pipe()
  let vc: VConnection
  if (transport === 'pair') {
    const [active, passive] = world.reactor.pair()
    passive.doIoRead(() => undefined, Infinity, into)
    vc = active
  } else {
    const listener = await far.listen('tcp://127.0.0.1:0', (peer) => {
      peer.doIoRead(() => undefined, Infinity, into)
    })
    vc = await world.reactor.connect(listener.addresses[0])
  }
  vc.write('0')
  await eventually(() => arrived.readAvail === 1, 'the first byte')
  arrived.consume(1)
  const vio = vc.doIoWrite(() => undefined, 5, reader)
  const handle = new VCHandle(vc.slot, vc.version)
  const elsewhere = vc.inspect()!.thread === 0 ? 1 : 0
  return { world, vc, handle, vio, out, arrived, elsewhere }
}

describe.skipIf(onPairs)('what write() has collected goes before every later call (AD-1)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)
    // Both ends of a pair of the inline engine need turns of this thread.
    const transports = threads === 0 ? ['tcp'] : ['tcp', 'pair']

    describe.each(transports)('%s', (transport) => {
      test.each(threads === 0 ? calls : [...calls, ...betweenThreads])(
        '%s',
        async (_, call, after = '') => {
          const s = await scene(box.world, transport)
          s.vc.write('A')
          call(s)
          meanwhile(() => s.arrived.readAvail > 0, 'what was written before arrives')
          await eventually(() => s.arrived.readAvail === 1 + after.length, 'all arrives')
          expect(s.arrived.read().toString()).toBe(`A${after}`)
        },
      )
    })

    test('reading goes on without it: what a handler writes still leaves together', async () => {
      const { world } = box
      const s = await scene(world, 'tcp')
      const before = world.reactor.stats().writeCalls
      s.vc.write('A')
      s.vc.doIoRead(() => undefined, Infinity, world.buffer()).reenable()
      s.vc.setInactivityTimeout(60_000)
      s.vc.write('B')
      await eventually(() => s.arrived.readAvail === 2, 'both')
      expect(world.reactor.stats().writeCalls - before).toBe(1)
    })
  })
})
