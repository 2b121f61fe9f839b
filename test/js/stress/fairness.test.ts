import type { VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld, type World } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

/** Sends as fast as it can, for ever; counts what arrives. */
async function flood(world: World): Promise<{ received: () => number; stop: () => void }> {
  const [client, server] = await world.pair()
  const [buffer, reader] = world.pipe()
  const chunk = pattern(65536)
  let received = 0
  let stopped = false
  const send = () => {
    while (!stopped && client.write(chunk));
    if (!stopped) client.drained().then(send, () => {})
  }
  server.doIoRead(
    () => {
      received += reader.read().length
    },
    Infinity,
    buffer,
  )
  send()
  return {
    received: () => received,
    stop: () => {
      stopped = true
      client.doIoClose(0)
      server.doIoClose()
    },
  }
}

/** Answers every byte; resolves when so many have come back. */
async function pingPong(world: World, rounds: number): Promise<void> {
  const [client, server] = await world.pair()
  const bounce = (vc: VConnection, told: (n: number) => boolean) => {
    const [buffer, reader] = world.pipe()
    vc.doIoRead(
      () => {
        const bytes = reader.read()
        if (told(bytes.length)) vc.write(bytes)
      },
      Infinity,
      buffer,
    )
  }
  await new Promise<void>((resolve) => {
    let n = 0
    bounce(server, () => true)
    bounce(client, () => {
      if (++n < rounds) return true
      resolve()
      return false
    })
    client.write('x')
  })
}

describe('fairness (INV-18, NH-4)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('others make progress beside one that floods', async () => {
      const { world } = box
      const { received, stop } = await flood(world)
      await eventually(() => received() > 1 << 20, 'the flood runs')
      const before = received()
      await Promise.all(Array.from({ length: 20 }, () => pingPong(world, 20)))
      expect(received()).toBeGreaterThan(before)
      stop()
    })

    test('timers and immediates of the loop get their turn', async () => {
      const { world } = box
      const { received, stop } = await flood(world)
      await eventually(() => received() > 1 << 20, 'the flood runs')
      for (let i = 0; i < 20; i++) {
        await turn()
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      expect(received()).toBeGreaterThan(1 << 20)
      stop()
    })

    test('connects and accepts go on, in a flood and in a burst', async () => {
      const { world } = box
      const { stop } = await flood(world)
      let accepted = 0
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', () => accepted++)
      const burst = Array.from({ length: 200 }, () => world.reactor.connect(listener.addresses[0]))
      await pingPong(world, 20)
      await Promise.all(burst)
      await eventually(() => accepted === 200, 'all accepted')
      stop()
    })

    test('a connection that is always ready does not keep its write side from others', async () => {
      const { world } = box
      const floods = await Promise.all([flood(world), flood(world), flood(world)])
      const at = floods.map((f) => f.received())
      await eventually(
        () => floods.every((f, i) => f.received() > at[i] + (4 << 20)),
        'each one runs',
      )
      for (const { stop } of floods) stop()
    })
  })
})
