import { once } from 'node:events'
import { connect } from 'node:net'
import { tunnel } from 'netvc'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'
import { onNetThreads, useSharedWorld } from '../support/shared-world.js'

describe('a pair between two JavaScript threads', () => {
  onNetThreads((threads) => {
    const box = useSharedWorld(threads)
    const apart = threads > 1 ? { activeThread: 0, passiveThread: 1 } : {}

    test('an end is given to a worker, with what was sent before (PV-29, F-115)', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register(echo)')
      const [active, passive] = world.reactor.pair(apart)
      active.write(pattern(100_000))
      passive.assign(worker.threadId)
      active.write(pattern(900_000, 100_000))
      const { stream } = world.check(active)
      await eventually(() => stream.count === 1_000_000, 'the worker has echoed all of it')
      active.doIoClose()
      await eventually(() => passive.closed, 'the worker has seen the end and has closed')
    })

    test('data that one end has set goes along, and what the worker sets is seen here (PV-25)', async () => {
      const { world } = box
      const worker = await world.worker(
        "reactor.register((vc) => { vc.setData('local', [vc.getData('local'), vc.getData('remote')]) })",
      )
      const [active, passive] = world.reactor.pair(apart)
      active.setData('local', { n: 1n })
      passive.setData('local', 'kept')
      passive.assign(worker.threadId)
      await eventually(() => Array.isArray(active.getData('remote')), 'the worker has answered')
      expect(active.getData('remote')).toEqual(['kept', { n: 1n }])
      expect(() => passive.setData('local', 1)).toThrow(
        expect.objectContaining({ code: 'ERR_VC_NOT_OWNER' }),
      )
      active.doIoClose()
    })

    test('the end of the worker is the end of the stream (PV-23)', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register(echo)')
      const [active, passive] = world.reactor.pair(apart)
      passive.assign(worker.threadId)
      const { stream, recorder } = world.check(active)
      active.write(pattern(1000))
      await eventually(() => stream.count === 1000, 'it is the worker’s')
      await worker.terminate()
      expect(await recorder.end()).toBe('EOS')
    })

    test('a tunnel from a socket to an end whose peer is in a worker', async () => {
      const { world } = box
      const worker = await world.worker('reactor.register(echo)')
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => {
        const [active, passive] = world.reactor.pair(apart)
        passive.assign(worker.threadId)
        tunnel(vc, active)
      })
      const client = connect(Number(/\d+$/.exec(listener.addresses[0])![0]), '127.0.0.1')
      const stream = new PatternChecker()
      client.on('data', (bytes) => stream.take(bytes))
      for (let i = 0; i < 20; i++) client.write(pattern(50_000, i * 50_000))
      client.end()
      await once(client, 'close')
      expect(stream.count).toBe(1_000_000)
    })
  })
})
