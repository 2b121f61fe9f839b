import { Worker } from 'node:worker_threads'
import { VCEvent } from 'netvc'
import { describe, expect, test } from 'vitest'
import { unixPath } from '../support/addresses.js'
import { eventually, useWorld } from '../support/fixture.js'

const capacity = 16_384 // records; native/binding/event_ring.h
const reserve = 64 // of them, which reads leave for everything else
const connections = 400
const rounds = 60 // one byte for each connection in each: more than the ring holds

/** The peers: a byte for each connection, whenever a further round is asked for. */
const peers = `
  const { workerData: { address, words, connections, rounds } } = require('node:worker_threads')
  const sockets = Array.from({ length: connections }, () => require('node:net').connect(address))
  let open = 0
  const serve = () => {
    for (let n = 0; n < rounds; n++) {
      Atomics.wait(words, 0, n)
      for (const s of sockets) s.write('x') // the kernel takes it at once
      Atomics.store(words, 1, n + 1)
    }
    for (const s of sockets) s.end()
  }
  for (const s of sockets) s.once('connect', () => ++open === connections && serve())`

/**
 * While this JavaScript thread is busy, its net thread meets more events than the ring holds:
 * reading stops, nothing is lost, and everything goes on when JavaScript comes back (AD-4, INV-6).
 */
describe('the event ring', () => {
  const box = useWorld(1)

  test('full, while the thread is busy: every byte and every end arrives', async () => {
    const { world } = box
    const address = unixPath()
    let bytes = 0
    let ended = 0
    let accepted = 0
    await world.reactor.listen(`unix://${address}`, (vc) => {
      accepted++
      const [buffer, reader] = world.pipe({ blockSize: 128 })
      vc.doIoRead(
        (event) => {
          bytes += reader.read().length
          if (event < VCEvent.EOS) return
          ended++
          vc.doIoClose()
        },
        Infinity,
        buffer,
      )
    })
    const words = new Int32Array(new SharedArrayBuffer(8)) // rounds asked for, rounds written
    const worker = new Worker(peers, {
      eval: true,
      workerData: { address, words, connections, rounds },
    })
    const left = new Promise((resolve) => worker.once('exit', resolve))
    await eventually(() => accepted === connections, 'all are accepted')

    // From here on this thread is busy: no event is taken.
    const limit = performance.now() + 20_000
    const busyUntil = (test: () => boolean, what: string) => {
      while (!test()) if (performance.now() > limit) expect.fail(`never happened: ${what}`)
    }
    const stats = () => world.reactor.stats()
    const read = () => stats().bytesRead
    for (let n = 1; n <= rounds; n++) {
      const { pollEvents } = stats()
      Atomics.store(words, 0, n)
      Atomics.notify(words, 0)
      busyUntil(() => words[1] === n, 'the round is written')
      // Each arrival is an edge of its own, whether it can be read or not.
      busyUntil(() => stats().pollEvents >= pollEvents + connections, 'the net thread has seen it')
      if (n * connections <= capacity - reserve) {
        busyUntil(() => read() === n * connections, 'and has read it')
      }
    }
    expect(bytes).toBe(0)
    expect(stats().events).toBe(capacity - reserve)
    expect(read()).toBeLessThan(rounds * connections)

    await eventually(() => ended === connections, 'all have ended')
    expect(bytes).toBe(connections * rounds)
    expect(await left).toBe(0)
  })
})
