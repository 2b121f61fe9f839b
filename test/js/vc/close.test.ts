import { VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { abstractAddress, transports } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'
import { patience } from '../support/patience.js'

describe('doIoClose', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(Object.entries(transports))(
      '%s: messages written before leave, then the peer sees EOS (VConnection.doIoClose)',
      async (_, address) => {
        const { world } = box
        const [client, server] = await world.pair(address())
        client.write(pattern(5_000_000))
        client.doIoClose()
        expect(client.closed).toBe(true)
        const { stream, recorder } = world.check(server)
        expect(await recorder.end()).toBe('EOS')
        expect(stream.count).toBe(5_000_000)
        expect(server.error).toBeUndefined()
      },
    )

    test('with an errno it is an abort: what waits is dropped (CL-6)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write(pattern(30_000_000))
      client.doIoClose(0)
      const { stream, recorder } = world.check(server)
      await recorder.end()
      expect(stream.count).toBeLessThan(30_000_000)
    })

    test('resetOnClose sends RST: the peer gets EOS with ECONNRESET (CL-6, RD-10)', async () => {
      const { world } = box
      const [client, server] = await world.pair('tcp://127.0.0.1:0', {
        connect: { resetOnClose: true },
      })
      const { recorder } = world.check(server)
      client.doIoClose()
      expect(await recorder.end()).toBe('EOS')
      expect(server.error).toMatchObject({ code: 'ECONNRESET', syscall: 'read' })
      expect(server.error?.errno).toBeLessThan(0)
    })

    test('the peer hears of it at once, on every engine (CL-3, B-14)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { recorder } = world.check(server)
      client.doIoClose()
      expect(await recorder.end()).toBe('EOS')
    })

    test('twice is once; everything known stays known (CL-7)', async () => {
      const { world } = box
      const [client] = await world.pair()
      const { id, remoteAddress } = client
      client.doIoClose()
      client.doIoClose()
      client.doIoClose(5)
      client[Symbol.dispose]()
      expect(client.id).toBe(id)
      expect(client.remoteAddress).toBe(remoteAddress)
      expect(client.inspect()).toBeUndefined()
      expect(client.writableLength).toBe(0)
    })

    test('no event of the batch that closed it is delivered (INV-1)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const write = new Recorder()
      const read = new Recorder(() => server.doIoClose())
      const [, reader] = world.pipe()
      server.doIoWrite(write.handler, Infinity, reader)
      await write.until(VCEvent.WRITE_READY)
      server.doIoRead(read.handler, Infinity, world.buffer())
      client.write(pattern(100_000))
      client.doIoShutdown('write')
      await read.until(VCEvent.READ_READY)
      await turn()
      expect(read.events.length).toBe(1)
    })

    test('inside another connection’s handler: its records of the batch are dropped (INV-1)', async () => {
      const { world } = box
      const pairs = await Promise.all(Array.from({ length: 20 }, () => world.pair()))
      const servers = pairs.map(([, server]) => server)
      let first: VConnection | undefined
      let told = 0
      for (const server of servers) {
        const recorder = new Recorder((_, vio) => {
          told++
          first ??= vio.vc
          for (const other of servers) if (other !== vio.vc) other.doIoClose()
        })
        server.doIoRead(recorder.handler, Infinity, world.buffer())
      }
      for (const [client] of pairs) client.write('x')
      await eventually(() => first !== undefined, 'one event')
      await turn()
      expect(told).toBe(1)
    })

    test('the user’s buffer may be freed at once (CL-2, B-59)', async () => {
      const { world } = box
      for (let i = 0; i < 20; i++) {
        const [client, server] = await world.pair()
        const buffer = world.buffer()
        server.doIoRead(() => {}, Infinity, buffer)
        client.write(pattern(100_000))
        if (i % 2) await turn()
        server.doIoClose()
        buffer.free()
        client.doIoClose(0)
      }
    })

    test('in the accept handler and right after connect (CL-7)', async () => {
      const { world } = box
      let accepted = 0
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => {
        accepted++
        vc.doIoClose()
      })
      for (let i = 0; i < 10; i++) {
        const vc = await world.reactor.connect(listener.addresses[0])
        if (i % 2) vc.doIoClose()
        else expect(await world.check(vc).recorder.end()).toBe('EOS')
      }
      await eventually(() => accepted === 10, 'all were accepted')
    })

    test('a peer that never reads: close with unsent bytes does not wait for it here', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.write(pattern(20_000_000))
      client.doIoClose()
      await eventually(() => world.reactor.stats().open >= 1, 'it lingers')
      server.doIoClose(0)
      await eventually(() => world.reactor.stats().open === 0, 'the RST ends it')
    })

    test('a connection that fails while nobody is armed closes itself (SIG-2)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      client.doIoClose(0)
      server.write('x')
      await eventually(() => {
        if (!server.closed) server.write('x')
        return server.closed
      }, 'closed by itself')
      expect(server.error?.code).toMatch(/^(EPIPE|ECONNRESET)$/)
      expect(() => server.write('x')).toThrow(expect.objectContaining({ code: 'ERR_VC_CLOSED' }))
    })

    test('reactor.close() inside a handler ends every connection’s events', async () => {
      const { world } = box
      const { reactor } = world
      let after = 0
      let closed: Promise<void> | undefined
      const use = (vc: VConnection) => {
        const [buffer, reader] = world.pipe()
        vc.doIoRead(
          () => {
            if (closed) after++
            reader.consume(reader.readAvail)
            vc.write('x')
            if (++n === 500) closed = reactor.close()
          },
          Infinity,
          buffer,
        )
        vc.write('x')
      }
      let n = 0
      const listener = await reactor.listen(abstractAddress(), use)
      for (let i = 0; i < 50 && !closed; i++) {
        const vc = await reactor.connect(listener.addresses[0]).catch(() => undefined)
        if (vc && !vc.closed) use(vc)
      }
      await eventually(() => closed !== undefined, '500 events')
      await closed
      expect(after).toBe(0)
      expect(reactor.stats().open).toBe(0)
    })
  })
})

describe('on a net thread', () => {
  const box = useWorld(1)

  test('an end is told although another connection has its slot by then (INV-11)', async () => {
    const { reactor } = box.world
    const slot = (vc: VConnection) => vc.id & 0xffffffffn
    const pairs = Array.from({ length: 20 }, () => reactor.pair())
    const ended = pairs.map(([vc]) => vc)
    for (const vc of ended) vc.setFailed('enough')
    // Nobody is armed, so the engine is through with them; this thread has not read that yet.
    const limit = Date.now() + patience
    while (ended.some((vc) => vc.inspect()) && Date.now() < limit) void 0
    const next = Array.from({ length: 40 }, () => reactor.pair()).flat()
    const slots = new Set(next.map(slot))
    expect(ended.filter((vc) => slots.has(slot(vc))).length).toBeGreaterThan(0)
    expect(ended.some((vc) => vc.closed)).toBe(false)
    await eventually(() => ended.every((vc) => vc.closed), 'all know that they are closed')
    expect(next.some((vc) => vc.closed)).toBe(false)
    for (const vc of [...pairs.flat(), ...next]) vc.doIoClose()
  })
})
