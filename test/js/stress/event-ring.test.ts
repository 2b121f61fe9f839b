import { existsSync } from 'node:fs'
import { VCEvent } from 'netvc'
import { describe, expect, test } from 'vitest'
import { unixPath } from '../support/addresses.js'
import { startChild } from '../support/child.js'
import { eventually, useWorld } from '../support/fixture.js'

const capacity = 16_384 // records; native/binding/event_ring.h
const connections = 400
const rounds = 60

/**
 * While this JavaScript thread is busy, its net thread meets more events than the ring holds:
 * reading stops, nothing is lost, and everything goes on when JavaScript comes back (AD-4, INV-6).
 */
describe('the event ring', () => {
  const box = useWorld(1)

  test('full, while the thread is busy: every byte and every end arrives', async () => {
    const { world } = box
    const address = unixPath()
    const [go, done] = [unixPath(), unixPath()]
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
    // Each round waits until the net thread has had the time to read the one before it.
    const { result } = startChild(
      `import { connect } from 'node:net'
       import { existsSync, writeFileSync } from 'node:fs'
       const wait = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
       const sockets = Array.from({ length: ${String(connections)} }, () => connect(${JSON.stringify(address)}))
       await Promise.all(sockets.map((s) => new Promise((resolve) => s.once('connect', resolve))))
       while (!existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 5))
       for (let i = 0; i < ${String(rounds)}; i++) {
         for (const s of sockets) s.write('x')
         wait(2)
       }
       for (const s of sockets) s.end()
       writeFileSync(${JSON.stringify(done)}, '')`,
      { bare: true },
    )
    await eventually(() => accepted === connections, 'all are accepted')
    const { writeFileSync } = await import('node:fs')
    writeFileSync(go, '')
    while (!existsSync(done)); // busy: no event is taken
    const told = world.reactor.stats().events
    expect(bytes).toBe(0)
    expect(told).toBeGreaterThan(connections) // how far it fills depends on what the kernel joins
    expect(told).toBeLessThanOrEqual(capacity + 1000)
    await eventually(() => ended === connections, 'all have ended')
    expect(bytes).toBe(connections * rounds)
    expect((await result).code).toBe(0)
  })
})
