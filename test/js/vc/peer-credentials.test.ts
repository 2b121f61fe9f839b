import { geteuid, getegid, pid } from 'node:process'
import { describe, expect, test } from 'vitest'
import { unixAddress } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { onPairs, useWorld } from '../support/fixture.js'

describe.skipIf(onPairs)('peerCredentials()', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)
    const mine = { pid, uid: geteuid!(), gid: getegid!() }

    test('both sides of a unix socket know the process at the other end', async () => {
      const [client, server] = await box.world.pair(unixAddress())
      expect([client.peerCredentials(), server.peerCredentials()]).toEqual([mine, mine])
      client.doIoClose()
      expect(client.peerCredentials()).toBeUndefined()
    })

    test('also in the abstract namespace, after a move, and when the peer has gone', async () => {
      const [client, server] = await box.world.pair(`unix://@netvc-${String(pid)}-credentials`)
      await server.migrate(Math.min(1, box.world.threads))
      client.doIoClose()
      expect(server.peerCredentials()).toEqual(mine)
    })

    test('of anything else there are none, and that is an error', async () => {
      const [tcp] = await box.world.pair('tcp://127.0.0.1:0')
      const [end] = box.world.reactor.pair()
      for (const [vc, named] of [
        [tcp, /tcp:/],
        [end, /pair/],
      ] as const) {
        expect(() => vc.peerCredentials()).toThrow(
          expect.objectContaining({
            code: 'EOPNOTSUPP',
            syscall: 'peerCredentials',
            message: expect.stringMatching(named) as unknown,
          }),
        )
      }
    })
  })
})
