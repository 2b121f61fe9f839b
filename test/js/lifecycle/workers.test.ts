import { once } from 'node:events'
import { VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld, type World } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { ended, startWorker } from './netvc-worker.js'

// A worker thread with netvc in it may end at any moment (INV-27). Each of these ends with
// connections open; that none of them, and no descriptor, is left is for the leak guard to see.

/** Echoes to whoever connects, and knows who is connected. */
async function echoServer(world: World) {
  const open = new Set<VConnection>()
  let accepted = 0
  const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => {
    open.add(vc)
    accepted++
    const [buffer, reader] = world.pipe()
    vc.doIoRead(
      (event) => {
        if (event === VCEvent.READ_READY) return void vc.write(reader.read())
        vc.doIoClose()
        buffer.free()
        open.delete(vc)
      },
      Infinity,
      buffer,
    )
  })
  return { address: listener.addresses[0], open, accepted: () => accepted }
}

/** A stream through the echo server that goes on until it is told to stop, checked byte by byte. */
async function streamThrough(world: World, address: string) {
  const vc = await world.reactor.connect(address)
  const { stream, recorder } = world.check(vc)
  let sent = 0
  let stop = false
  const run = (async () => {
    while (!stop) {
      vc.write(pattern(5000, sent))
      sent += 5000
      await recorder.when(() => stream.count === sent)
    }
    vc.doIoClose()
  })()
  return {
    get count() {
      return stream.count
    },
    async finish() {
      stop = true
      await run
      expect(stream.count).toBe(sent)
    },
  }
}

describe('a worker thread', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('ends by itself after close() (INV-27)', async () => {
      const worker = startWorker(
        `const reactor = new Reactor({ threads })
         await traffic(reactor)
         await reactor.close()
         tell('closed')`,
        { threads },
      )
      expect(await ended(worker)).toEqual({ code: 0, told: ['closed'] })
    })

    test('ends by itself after unref(), with everything open (INV-27)', async () => {
      const worker = startWorker(
        `const reactor = new Reactor({ threads })
         await traffic(reactor)
         reactor.unref()
         tell('unref')`,
        { threads },
      )
      expect(await ended(worker)).toEqual({ code: 0, told: ['unref'] })
    })

    test('lives as long as a listener does (INV-27)', async () => {
      const worker = startWorker(
        `const reactor = new Reactor({ threads })
         const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
           vc.doIoClose()
           listener.close()
         })
         tell(listener.addresses[0])`,
        { threads },
      )
      const end = ended(worker)
      const [address] = (await once(worker, 'message')) as [string]
      const { recorder } = box.world.check(await box.world.reactor.connect(address))
      expect(await recorder.end()).toBe('EOS')
      expect((await end).code).toBe(0)
    })

    test.each(['top level', 'read handler', 'accept handler'])(
      'process.exit() ends it, called from: %s (INV-27)',
      async (place) => {
        const bodies: Record<string, string> = {
          'top level': 'await traffic(reactor); tell(1); process.exit(3); tell(2)',
          'read handler': 'await traffic(reactor, () => { tell(1); process.exit(3); tell(2) })',
          'accept handler': `
            const listener = await reactor.listen('tcp://127.0.0.1:0', () => {
              tell(1); process.exit(3); tell(2)
            })
            for (let i = 0; i < 5; i++) reactor.connect(listener.addresses[0]).catch(() => {})`,
        }
        const body = `const reactor = new Reactor({ threads })\n${bodies[place]}`
        expect(await ended(startWorker(body, { threads }))).toEqual({ code: 3, told: [1] })
      },
    )

    test('an error that a handler throws ends it, and is told (INV-27, AD-3)', async () => {
      const worker = startWorker(
        `const reactor = new Reactor({ threads })
         let first = true
         await traffic(reactor, () => {
           tell(first)
           first = false
           throw new Error('stopped here')
         })`,
        { threads },
      )
      const { code, told, error } = await ended(worker)
      expect({ code, told }).toEqual({ code: 1, told: [true] })
      expect(error?.message).toBe('stopped here')
    })

    test('terminate() while a connection attempt, a tunnel and a close are under way (INV-27)', async () => {
      const worker = startWorker(
        `const reactor = new Reactor({ threads })
         const accepted = []
         const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => accepted.push(vc))
         const to = () => reactor.connect(listener.addresses[0])
         const clients = [await to(), await to(), await to()]
         while (accepted.length < 3) await new Promise((resolve) => setImmediate(resolve))
         tunnel(accepted[0], accepted[1])
         send(clients[0])
         await new Promise((resolve) => receive(clients[1], resolve))
         accepted[2].write(Buffer.alloc(20_000_000))
         accepted[2].doIoClose()
         to()
         tell('now')
         for (;;) to().catch(() => {}), await new Promise((resolve) => setImmediate(resolve))`,
        { threads },
      )
      await once(worker, 'message')
      expect(await worker.terminate()).toBe(1)
    })

    test('terminate() in the midst of traffic, 30 times, and this thread goes on (INV-27, AD-7)', async () => {
      const { world } = box
      const { address, open, accepted } = await echoServer(world)
      const stream = await streamThrough(world, address)
      for (let round = 1; round <= 30; round++) {
        const before = stream.count
        const worker = startWorker(
          `const reactor = new Reactor({ threads })
           const vc = await reactor.connect(address)
           send(vc)
           let seen = 0
           receive(vc, () => { if (seen++ === 2) tell('busy') })`,
          { threads, address },
        )
        await once(worker, 'message')
        expect(await worker.terminate()).toBe(1)
        // What it had is closed: the connection here hears of it.
        await eventually(() => open.size === 1, `connection of worker ${String(round)} closed`)
        expect(accepted()).toBe(round + 1)
        await eventually(() => stream.count > before, 'the stream of this thread goes on')
      }
      await stream.finish()
    })

    test('several at once, each ending in its own way (INV-27)', async () => {
      const { world } = box
      const { address, open } = await echoServer(world)
      const stream = await streamThrough(world, address)
      const ends = [
        'process.exit(5)',
        "throw new Error('stopped here')",
        'reactor.close()',
        "tell('busy')",
      ]
      const workers = [...ends, ...ends].map((end, i) =>
        startWorker(
          `const reactor = new Reactor({ threads })
           const vc = await reactor.connect(address)
           send(vc)
           let seen = 0
           receive(vc, () => { if (seen++ === 3) { ${end} } })`,
          { threads: i < ends.length ? threads : 2 - threads, address },
        ),
      )
      for (const worker of workers) worker.once('message', () => void worker.terminate())
      const codes = (await Promise.all(workers.map(ended))).map(({ code }) => code)
      expect(codes).toEqual([5, 1, 0, 1, 5, 1, 0, 1])
      await eventually(() => open.size === 1, 'connections of all workers closed')
      await stream.finish()
    })

    test('bytes between two workers are exact while others are terminated (INV-4, INV-27)', async () => {
      const { world } = box
      const { address } = await echoServer(world)
      const steady = startWorker(
        `const reactor = new Reactor({ threads })
         const vc = await reactor.connect(address)
         const buffer = new MIOBuffer(), reader = buffer.allocReader()
         let sent = 0, seen = 0
         const next = () => vc.write(Uint8Array.from({ length: 7919 }, () => sent++ % 251))
         parentPort.once('message', () => { tell([seen]); reactor.close(); parentPort.close() })
         vc.doIoRead(() => {
           for (const byte of reader.read()) if (byte !== seen++ % 251) throw new Error('wrong byte')
           tell(seen)
           if (seen === sent) next()
         }, Infinity, buffer)
         next()`,
        { threads, address },
      )
      const end = ended(steady)
      await once(steady, 'message')
      for (let round = 0; round < 5; round++) {
        const other = startWorker(
          `const reactor = new Reactor({ threads })
           await traffic(reactor)
           tell('busy')`,
          { threads },
        )
        await once(other, 'message')
        await other.terminate()
        await once(steady, 'message')
      }
      steady.postMessage('stop')
      const { code, told, error } = await end
      expect(error).toBeUndefined()
      expect(code).toBe(0)
      const final = told.find((message) => Array.isArray(message)) as number[]
      expect(final[0]).toBeGreaterThan(7919)
    })
  })
})
