import { closeSync, openSync, readFileSync } from 'node:fs'
import { tunnel, VCEvent } from 'netvc'
import { beforeEach, describe, expect, test } from 'vitest'
import { unixPath } from '../support/addresses.js'
import { endsWell, runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, onPairs, useWorld } from '../support/fixture.js'
import { code } from '../write/told.js'

describe.skipIf(onPairs)('setOriginTrace', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)
    let file: string
    let fd: number

    beforeEach(() => {
      file = unixPath()
      fd = openSync(file, 'a')
    })
    const lines = () => readFileSync(file, 'utf8').split('\n').slice(0, -1)
    const wrote = (line: string) => eventually(() => lines().includes(line), line)

    test('lines for what goes out and comes in, from a descriptor of its own, until the end (OT-1, F-092)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const peer = `127.0.0.1:${String(client.remotePort)}`
      client.setOriginTraceAddr('10.0.0.7')
      client.setOriginTracePort(4312)
      client.setOriginTrace({ fd })
      closeSync(fd)
      const told: VCEvent[] = []
      client.doIoRead((event) => void told.push(event), Infinity, world.buffer())
      client.write('GET /\r\n')
      await wrote(`netvc out ${peer} client 10.0.0.7:4312 bytes=7 "GET /\\r\\n"`)
      server.write(Buffer.from([0x00, 0x01, 0xff]))
      await wrote(`netvc in ${peer} client 10.0.0.7:4312 bytes=3 "\\x00\\x01\\xff"`)
      server.doIoShutdown('write')
      await eventually(() => told.at(-1) === VCEvent.EOS, 'EOS')
      await wrote(`netvc in ${peer} client 10.0.0.7:4312 closed connection`)
    })

    test('while bytes flow: on, shorter, off (OT-1)', async () => {
      const { world } = box
      const [client, server] = await world.pair()
      const peer = `127.0.0.1:${String(client.remotePort)}`
      world.check(client, Infinity)
      await client.write('before', { completion: true })
      client.setOriginTrace({ fd, maxBytes: 3 })
      client.setOriginTraceAddr('')
      client.write('during')
      await wrote(`netvc out ${peer} client - bytes=6 "dur"...`)
      client.setOriginTrace(false)
      client.setOriginTrace(false)
      client.write('after')
      const got = world.pipe()
      server.doIoRead(() => {}, Infinity, got[0])
      await eventually(() => got[1].readAvail === 17, 'all has come')
      expect(lines().filter((line) => line.includes(' out '))).toEqual([
        `netvc out ${peer} client - bytes=6 "dur"...`,
      ])
      closeSync(fd)
    })

    test('a connection of a tunnel can be traced too', async () => {
      const { world } = box
      const [a, outer] = await world.pair()
      const [b, inner] = await world.pair()
      const { closed } = tunnel(a, b)
      a.setOriginTrace({ fd })
      outer.write('through')
      await wrote(`netvc in 127.0.0.1:${String(a.remotePort)} client - bytes=7 "through"`)
      outer.doIoClose()
      inner.doIoClose()
      await closed
      closeSync(fd)
    })

    test('true: to stderr', async () => {
      const child = await runChild(
        `
        const reactor = new Reactor({ threads })
        const listener = await reactor.listen('tcp://127.0.0.1:0', echo)
        const vc = await reactor.connect(listener.addresses[0])
        vc.setOriginTrace(true)
        vc.write('x'.repeat(300))
        await new Promise((resolve) => sink(vc, resolve))
        await reactor.close()`,
        { threads },
      )
      expect(child).toMatchObject({ ...endsWell, stderr: expect.any(String) })
      expect(child.stderr).toMatch(/^netvc out 127.0.0.1:\d+ client - bytes=300 "x{256}"\.\.\.$/m)
      expect(child.stderr).toMatch(/^netvc in 127.0.0.1:\d+ client - bytes=300 "x{256}"\.\.\.$/m)
    })

    test('a descriptor that is not open is EBADF; a connection that is gone has no trace', async () => {
      const [vc] = await box.world.pair()
      closeSync(fd)
      expect(code(() => vc.setOriginTrace({ fd: 1_000_000 }))).toBe('EBADF')
      vc.doIoClose()
      expect(code(() => vc.setOriginTrace(false))).toBe('ok')
      expect(code(() => vc.setOriginTrace(true))).toBe('ERR_VC_CLOSED')
    })
  })
})
