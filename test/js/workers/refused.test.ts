import { threadId as here } from 'node:worker_threads'
import { Reactor, tunnel, VCHandle, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { lines, useSharedWorld } from '../support/shared-world.js'
import { code } from '../write/told.js'

describe('assign() that cannot be', () => {
  const box = useSharedWorld(1)

  test('ERR_NO_SUCH_WORKER: nobody, not attached, not registered, not any more', async () => {
    const { world } = box
    const [client, server] = await world.pair()
    const attached = await world.worker('asked()')
    const left = await world.worker('reactor.register(() => {}); reactor.unregister(); asked()')
    const gone = await world.worker('reactor.register(() => {})')
    const { threadId } = gone
    await gone.terminate()
    for (const id of [999_999, attached.threadId, left.threadId, threadId, here]) {
      expect(code(() => server.assign(id))).toBe('ERR_NO_SUCH_WORKER')
    }
    // It is still ours, and nothing is lost.
    const { stream } = world.check(server)
    client.write(pattern(1000))
    await eventually(() => stream.count === 1000, 'read here')
  })

  test('ERR_NOT_SHARED: a connection of another reactor, or nobody shares', async () => {
    const { world } = box
    const worker = await world.worker('reactor.register(() => {})')
    const [client] = await world.pair()
    expect(code(() => client.assign(worker.threadId))).toBe('ERR_NOT_SHARED')
    const own = world.another(1)
    for (const call of [
      () => own.register(() => {}),
      () => own.unregister(),
      () => own.workers(),
      () => own.parked(),
      () => own.onParked(() => {}),
    ]) {
      expect(code(call)).toBe('ERR_NOT_SHARED')
    }
    await expect(
      own.listen('tcp://127.0.0.1:0', () => {}, { distribute: 'random' }),
    ).rejects.toMatchObject({ code: 'ERR_NOT_SHARED' })
  })

  test('ERR_VC_CLOSED, ERR_VC_TUNNELED: states of the connection', async () => {
    const { world } = box
    const worker = await world.worker('reactor.register(() => {})')
    const [, closed] = await world.pair()
    const handle = Reactor.address(closed.id)!
    const other = new VCHandle(closed.slot, closed.version)
    closed.doIoClose()
    const assigned = () => code(() => other.assign(worker.threadId))
    await eventually(() => assigned() === 'ERR_VC_CLOSED', 'its net thread knows it')
    for (const vc of [closed, handle, other]) {
      expect(code(() => vc.assign(worker.threadId))).toBe('ERR_VC_CLOSED')
    }
    const [[, a], [, b]] = [await world.pair(), await world.pair()]
    tunnel(a, b)
    expect(code(() => a.assign(worker.threadId))).toBe('ERR_VC_TUNNELED')
  })

  test('wrong arguments', async () => {
    const { world } = box
    const [, vc] = await world.pair()
    for (const wrong of ['1', null, undefined, 1n, {}]) {
      expect(code(() => vc.assign(wrong as never))).toBe('ERR_INVALID_ARG_TYPE')
    }
    for (const wrong of [-1, 0.5, NaN, Infinity, 2 ** 31]) {
      expect(code(() => vc.assign(wrong))).toBe('ERR_OUT_OF_RANGE')
    }
    for (const wrong of [null, 1, 'x', undefined]) {
      expect(code(() => world.reactor.register(wrong as never))).toBe('ERR_INVALID_ARG_TYPE')
      expect(code(() => world.reactor.onParked(wrong as never))).toBe('ERR_INVALID_ARG_TYPE')
    }
    const options = { onExit: 'stay' }
    expect(code(() => world.reactor.register(() => {}, options as never))).toBe(
      'ERR_INVALID_ARG_TYPE',
    )
    expect(code(() => world.reactor.register(() => {}, { exit: 1 } as never))).toBe(
      'ERR_INVALID_ARG_VALUE',
    )
  })
})

describe('Reactor.shared()', () => {
  const box = useSharedWorld(1)

  test('is one object of a thread, and a new one after close()', async () => {
    const { world } = box
    const first = world.reactor
    expect(Reactor.shared()).toBe(first)
    expect(code(() => Reactor.shared({ threads: -1 }))).toBe('ERR_OUT_OF_RANGE')
    expect(first.workers()).toContainEqual({ threadId: here, connections: 0, registered: false })
    const closing = first.close()
    const second = Reactor.shared()
    world.reactors.push(second)
    expect(second).not.toBe(first)
    // Both are attached for a moment: what belongs to the second one stays.
    const worker = await world.worker('reactor.register(greet)')
    const got: VConnection[] = []
    const listener = await second.listen('tcp://127.0.0.1:0', (vc) => void got.push(vc))
    const client = await world.client.connect(listener.addresses[0])
    await eventually(() => got.length === 1, 'accepted')
    const { stream } = world.check(got[0])
    client.write(pattern(10_000))
    await closing
    client.write(pattern(10_000, 10_000))
    await eventually(() => stream.count === 20_000, 'goes on')
    const text = lines(world, client)
    got[0].assign(worker.threadId)
    await eventually(() => text.length === 1, 'the worker has it')
    expect(first.closed).toBe(true)
  })
})
