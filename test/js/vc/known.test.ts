import { Reactor, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, onPairs, useWorld } from '../support/fixture.js'

// What is known about a connection (VC-7, VC-8, VC-9; F-021, F-022, F-024).
describe('what is known about a connection', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('its operations are the same objects for ever (VC-7, VIO-6)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      expect([server.readVio, server.writeVio]).toEqual([undefined, undefined])
      const [buffer, reader] = world.pipe()
      const read = server.doIoRead(() => {}, Infinity, buffer)
      const write = client.doIoWrite(() => {}, Infinity, reader)
      expect([server.readVio, client.writeVio]).toEqual([read, write])
      expect(server.doIoRead(null, 0, null)).toBe(server.readVio)
    })

    test('getData: its operations, and how it was closed (VC-7, F-021)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [third] = await world.pair()
      expect([server.getData('readVio'), server.getData('closed')]).toEqual([undefined, 0])
      const read = server.doIoRead(() => {}, Infinity, world.buffer())
      const write = server.doIoWrite(() => {}, Infinity, world.pipe()[1])
      expect(server.getData('readVio')).toBe(read)
      expect(server.getData('writeVio')).toBe(write)
      server.doIoClose()
      client.doIoClose(104)
      client.doIoClose()
      third.closeWithReset()
      expect([server, client, third].map((vc) => vc.getData('closed'))).toEqual([1, -1, -1])
    })

    test.skipIf(onPairs)('a socket keeps no data of others (VC-7)', async () => {
      const [vc] = await box.world.pair()
      expect([vc.setData('local', 5), vc.setData('closed', 5)]).toEqual([false, false])
      expect(vc.getData('local')).toBeUndefined()
    })

    test('descriptor, number, direction and what is not acknowledged (VC-8, VC-9)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const [other] = await world.pair()
      for (const vc of [client, server]) {
        expect(vc.fd >= 0).toBe(!onPairs)
        expect(vc.outstanding >= 0).toBe(!onPairs)
        expect(vc.sequence).toBeGreaterThan(0)
        expect(other.sequence).toBeGreaterThan(vc.sequence!)
      }
      expect(client.sequence).not.toBe(server.sequence)
      expect([client.context, server.context]).toEqual(['out', 'in'])
      client.doIoClose()
      const gone = ({ fd, sequence, context, outstanding }: VConnection) => [
        fd,
        sequence,
        context,
        outstanding,
      ]
      expect(gone(client)).toEqual([-1, undefined, undefined, -1])
    })

    test('an id is alive, failed or gone', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const { id } = client
      expect([client.state, Reactor.stateOf(id)]).toEqual(['alive', 'alive'])
      client.doIoRead(() => {}, Infinity, world.buffer()) // else it ends as soon as it has failed
      client.setFailed('ECONNREFUSED')
      expect([client.state, Reactor.stateOf(id), Reactor.address(id)]).toEqual([
        'failed',
        'failed',
        undefined,
      ])
      client.doIoClose()
      server.doIoClose()
      await eventually(() => Reactor.stateOf(id) === 'gone', 'gone')
      expect(client.state).toBe('gone')
      expect(Reactor.stateOf(0n)).toBe('gone')
    })
  })
})
