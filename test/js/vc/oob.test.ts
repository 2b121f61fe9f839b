import type { VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, onPairs, turn, type World, useWorld } from '../support/fixture.js'

/** How a promise has ended: `ok`, or the code of its error. */
const end = (promise: Promise<void>) =>
  promise.then(
    () => 'ok',
    (error: { code: string }) => error.code,
  )

/** What arrives until there is as much of it. */
async function text(world: World, vc: VConnection, bytes: number): Promise<string> {
  const [buffer, reader] = world.pipe()
  let got = ''
  vc.doIoRead(() => (got += reader.read().toString()), Infinity, buffer)
  await eventually(() => got.length >= bytes, `${String(bytes)} bytes`)
  await turn()
  return got
}

/** A fast open is not connected before its first write: until then urgent bytes wait (OB-1). */
async function waiting(world: World) {
  let accepted: VConnection | undefined
  const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => (accepted = vc))
  const client = await world.reactor.connect(listener.addresses[0], { fastOpen: true })
  return { client, sent: end(client.sendOOB('abc')), accepted: () => accepted }
}

describe.skipIf(onPairs)('sendOOB', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each([
      [false, 'abx'],
      [true, 'abcx'],
    ])(
      'outOfBandInline %s: the peer reads %s (OB-1, OB-3, F-090)',
      async (outOfBandInline, read) => {
        const { world } = box
        const [client, server] = await world.pair()
        server.setSocketOptions({ outOfBandInline })
        expect(server.socketOptions()?.outOfBandInline).toBe(outOfBandInline)
        await client.sendOOB(Buffer.from('abc'))
        client.write('x')
        expect(await text(world, server, read.length)).toBe(read)
        expect(client.inspect()?.bytesOut).toBe(4)
      },
    )

    test('what it could not send it sends later; the bytes are copied (OB-1)', async () => {
      const { world } = box
      const { client, sent, accepted } = await waiting(world)
      client.write('hello')
      expect(await sent).toBe('ok')
      await eventually(() => accepted() !== undefined, 'accepted')
      // The kernel may connect without the first bytes; then they overtake them.
      expect(await text(world, accepted()!, 7)).toMatch(/^(helloab|abhello)$/)
    })

    test('one at a time: the second is refused, and the first goes on (OB-1)', async () => {
      const { client, sent } = await waiting(box.world)
      expect(await end(client.sendOOB('x'))).toBe('ERR_OOB_PENDING')
      client.write('hello')
      expect(await sent).toBe('ok')
      expect(await end(client.sendOOB('y'))).toBe('ok')
    })

    test('cancelOOB: the promise says so, and nothing is sent any more (OB-2, F-091)', async () => {
      const { world } = box
      const { client, sent, accepted } = await waiting(world)
      client.cancelOOB()
      expect(await sent).toBe('ERR_OOB_CANCELLED')
      client.cancelOOB()
      client.write('hello')
      await eventually(() => accepted() !== undefined, 'accepted')
      await client.sendOOB('!')
      client.write('end')
      expect(await text(world, accepted()!, 8)).toBe('helloend')
    })

    test.each<[string, string, (vc: VConnection, world: World) => unknown]>([
      ['doIoClose', 'ERR_VC_CLOSED', (vc) => vc.doIoClose()],
      ['closeWithReset', 'ERR_VC_CLOSED', (vc) => vc.closeWithReset()],
      ['doIoShutdown', 'ERR_VC_SHUT', (vc) => vc.doIoShutdown('write')],
      ['setFailed', 'ETIMEDOUT', (vc) => vc.setFailed(timedOut)],
      ['reactor.close', 'ERR_VC_CLOSED', (_, world) => world.reactor.close()],
    ])('%s ends what waits, with %s (OB-2, INV-27)', async (_, code, call) => {
      const { client, sent } = await waiting(box.world)
      await call(client, box.world)
      expect(await sent).toBe(code)
    })

    test('an error of the socket is told, and not tried again for ever (B-21)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { recorder } = world.check(client)
      server.closeWithReset()
      expect(await recorder.end()).toBe('EOS')
      expect(await end(client.sendOOB('abc'))).toBe('ECONNRESET')
    })

    test('no bytes, wrong bytes: it rejects, and never throws', async () => {
      const [client] = await box.world.pair()
      expect(await end(client.sendOOB(''))).toBe('EINVAL')
      expect(await end(client.sendOOB(5 as never))).toBe('ERR_INVALID_ARG_TYPE')
    })
  })
})

const timedOut = Object.assign(new Error('too late'), { code: 'ETIMEDOUT' })
