import { VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { eventually, useWorld } from '../support/fixture.js'
import { integerBelow, pattern, PatternChecker, random, seeds } from '../support/pattern.js'
import { code } from '../write/told.js'

const threads = 3

describe('migrate()', () => {
  const box = useWorld(threads)
  const threadOf = (vc: VConnection) => vc.inspect()?.thread

  test('MG-1: to another net thread and back; to the own one nothing changes', async () => {
    const { world } = box
    const [client, server] = await world.pair()
    for (const thread of [0, 2, 1, 1, 0]) {
      await client.migrate(thread)
      expect(threadOf(client)).toBe(thread)
    }
    const { stream } = world.check(client)
    client.setInactivityTimeout(60_000)
    await client.migrate(0)
    expect(client.inactivityTimeout).toBe(60_000)
    server.write(pattern(1000))
    await eventually(() => stream.count === 1000, 'the operation goes on')
  })

  test('MG-2: operations and timeouts end silently; what was read stays in its buffer', async () => {
    const { world } = box
    const [client, server] = await world.pair()
    await client.migrate(0)
    const [buffer, reader] = world.pipe()
    const told: string[] = []
    client.doIoRead((event) => told.push(VCEvent[event]), Infinity, buffer)
    client.setInactivityTimeout(60_000)
    server.write('hello')
    await eventually(() => reader.readAvail === 5, 'it is there')
    const there = client.migrate(1)
    told.length = 0
    await there
    expect([client.inactivityTimeout, client.inspect()?.read.enabled]).toEqual([0, false])
    server.write(', world')
    client.doIoRead((event) => told.push(VCEvent[event]), 7, buffer)
    await eventually(() => told.includes('READ_COMPLETE'), 'the rest')
    expect(Buffer.from(reader.read()).toString()).toBe('hello, world')
  })

  test('on its way: writing and closing work, arming says why not', async () => {
    const { world } = box
    const [client, server] = await world.pair()
    const { stream } = world.check(server)
    await client.migrate(0)
    const there = client.migrate(1)
    const [buffer] = world.pipe()
    expect(code(() => client.doIoRead(() => {}, 1, buffer))).toBe('ERR_VC_MIGRATING')
    expect(code(() => client.setInactivityTimeout(1))).toBe('ERR_VC_MIGRATING')
    await expect(client.migrate(2)).rejects.toMatchObject({ code: 'ERR_VC_MIGRATING' })
    client.write(pattern(100))
    await there
    client.write(pattern(100, 100))
    await eventually(() => stream.count === 200, 'all of it')
    const gone = client.migrate(2)
    client.doIoClose()
    await gone.catch((error: { code?: string }) => expect(error.code).toBe('ERR_VC_CLOSED'))
    expect(client.closed).toBe(true)
  })

  test('the peer ends while it moves: heard when it is armed again', async () => {
    const { world } = box
    const [client, server] = await world.pair()
    await client.migrate(0)
    const there = client.migrate(1)
    server.doIoClose()
    await there
    expect(await world.check(client).recorder.end()).toBe('EOS')
  })

  test('wrong arguments; the inline engine has one thread only', async () => {
    const { world } = box
    const [client] = await world.pair()
    for (const [wrong, expected] of [
      [threads, 'ERR_OUT_OF_RANGE'],
      [-1, 'ERR_OUT_OF_RANGE'],
      [0.5, 'ERR_OUT_OF_RANGE'],
      ['1', 'ERR_INVALID_ARG_TYPE'],
    ] as const) {
      await expect(client.migrate(wrong as number)).rejects.toMatchObject({ code: expected })
    }
    client.doIoClose()
    await expect(client.migrate(0)).rejects.toMatchObject({ code: 'ERR_VC_CLOSED' })
    const inline = world.another(0)
    const listener = await inline.listen('tcp://127.0.0.1:0', () => {})
    const one = await inline.connect(listener.addresses[0])
    await one.migrate(0)
    await expect(one.migrate(1)).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
    one.doIoClose()
  })

  for (const seed of seeds(2)) {
    test(`INV-28: both directions exact under random migrations, NETVC_SEED=${String(seed)}`, async () => {
      const { world } = box
      const next = random(seed)
      const total = 8 << 20
      const pairs = [await world.pair(), await world.pair(), await world.pair()]
      let moves = 0

      const send = async (vc: VConnection) => {
        for (let sent = 0; sent < total;) {
          const n = Math.min(total - sent, 1 + integerBelow(next, 200_000))
          if (!vc.write(pattern(n, sent))) await vc.drained()
          sent += n
        }
      }
      /** Reads, and moves after some bytes, again and again, until all of them are there. */
      const receive = async (vc: VConnection) => {
        const [buffer, reader] = world.pipe()
        const stream = new PatternChecker()
        while (stream.count < total) {
          const until = Math.min(total, stream.count + 1 + integerBelow(next, 400_000))
          await new Promise<void>((resolve, reject) => {
            vc.doIoRead(
              (event) => {
                stream.take(reader.read())
                if (event !== VCEvent.READ_READY) reject(new Error(VCEvent[event]))
                else if (stream.count >= until) resolve()
              },
              Infinity,
              buffer,
            )
          })
          await vc.migrate(integerBelow(next, threads))
          moves++
          stream.take(reader.read())
        }
        expect(stream.count).toBe(total)
      }
      await Promise.all(pairs.flatMap(([a, b]) => [send(a), send(b), receive(a), receive(b)]))
      expect(moves).toBeGreaterThan(6 * 10)
    })
  }
})
