import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Tunnel } from 'netvc'

import { pattern } from '../js/support/pattern.js'
import { finally_ } from './support/cleanup.js'
import { describeWith, Program } from './support/programs.js'
import { Proxy, socatListener } from './support/proxy.js'
import { settled } from './support/settled.js'
import { connect, type Peer } from './support/sockets.js'

/** Sends for ever, as fast as the other side takes it. */
function flood({ socket }: Peer): void {
  const chunk = pattern(1 << 18)
  const more = (error?: Error | null) =>
    void (error ?? (socket.destroyed || socket.write(chunk, more)))
  more()
}

/** Resolves when so many bytes have passed in each direction that is asked for. */
async function flowing(t: Tunnel, aToB: number, bToA = 0): Promise<void> {
  const limit = Date.now() + 20_000
  while (t.aToB < aToB || t.bToA < bToA) {
    if (Date.now() > limit) throw new Error(`only ${String(t.aToB)} and ${String(t.bToA)} passed`)
    await sleep(1)
  }
}

describeWith('socat', 'socat', 'real processes at both ends of a tunnel', () => {
  for (const threads of [0, 1]) {
    const engine = threads ? 'net threads' : 'inline'

    test.each([
      ['stallTimeout', 'stall'],
      ['inactivityTimeout', 'inactivity'],
    ])(`${engine}: a reader that is stopped, %s`, async (limit, reason) => {
      const { server, port } = await socatListener('-u', 'OPEN:/dev/null')
      const proxy = await Proxy.start(threads, () => port, { [limit]: 300 })
      const client = await connect(proxy.port)
      flood(client)
      const t = await proxy.next()
      await flowing(t, 1 << 20)
      server.kill('SIGSTOP')
      const result = await t.closed
      expect(result.reason).toBe(reason)
      expect(result.error).toBeUndefined()
      await client.over // the sender is told
      server.kill('SIGCONT')
      await server.exited // and so is the reader, when it can hear
      client.socket.destroy()
      await client.closed
      await proxy.close()
    })

    test(`${engine}: a reader that is stopped and goes on within the limit gets every byte`, async () => {
      const directory = mkdtempSync(path.join(tmpdir(), 'netvc-'))
      finally_(() => rmSync(directory, { recursive: true }))
      const file = path.join(directory, 'got')
      const { server, port } = await socatListener('-u', `OPEN:${file},creat`)
      const limits = { stallTimeout: 25_000, inactivityTimeout: 25_000 }
      const proxy = await Proxy.start(threads, () => port, limits)
      const client = await connect(proxy.port)
      const bytes = pattern(40 << 20) // far more than the kernels take
      client.socket.end(bytes)
      const t = await proxy.next()
      await flowing(t, 1 << 20)
      server.kill('SIGSTOP')
      await settled(() => t.aToB)
      expect(t.aToB).toBeLessThan(bytes.length)
      server.kill('SIGCONT')
      expect((await server.exited).code).toBe(0)
      expect(readFileSync(file).equals(bytes)).toBe(true)
      expect(await t.closed).toMatchObject({ reason: 'eos', error: undefined, aToB: bytes.length })
      await client.ended
      client.socket.destroy()
      await client.closed
      await proxy.close()
    })

    test(`${engine}: either peer is killed while bytes flow both ways, 30 times`, async () => {
      let port = 0
      const proxy = await Proxy.start(threads, () => port)
      for (let i = 0; i < 30; i++) {
        const listener = await socatListener('/dev/zero!!/dev/null')
        port = listener.port
        const address = `TCP:127.0.0.1:${String(proxy.port)}`
        const client = new Program('socat', ['/dev/zero!!/dev/null', address])
        const t = await proxy.next()
        await flowing(t, 1 << 18, 1 << 18)
        const [killed, other] = i % 2 ? [client, listener.server] : [listener.server, client]
        killed.kill('SIGKILL')
        const { reason, error, aToB, bToA } = await t.closed
        // The kernel sends RST, as there were unread bytes, or FIN, if there happened to be none.
        expect(['eos', 'error']).toContain(reason)
        if (reason === 'error') expect(['ECONNRESET', 'EPIPE']).toContain(error?.code)
        expect(Math.min(aToB, bToA)).toBeGreaterThanOrEqual(1 << 18)
        expect((await killed.exited).signal).toBe('SIGKILL')
        expect((await other.exited).signal).toBe(null)
      }
      await proxy.close()
    })

    test(`${engine}: a byte a second keeps a tunnel from being idle, not from activeTimeout`, async () => {
      const { server, port } = await socatListener('-u', 'OPEN:/dev/null')
      const limits = { inactivityTimeout: 4000, activeTimeout: 5000 }
      const proxy = await Proxy.start(threads, () => port, limits)
      const began = performance.now()
      const drip = new Program('socat', [
        ...['-u', 'SYSTEM:while printf x; do sleep 1; done'],
        `TCP:127.0.0.1:${String(proxy.port)}`,
      ])
      const t = await proxy.next()
      const { reason, aToB } = await t.closed
      expect(reason).toBe('active')
      expect(performance.now() - began).toBeGreaterThanOrEqual(5000)
      expect(aToB).toBeGreaterThan(1)
      await server.exited
      drip.kill('SIGKILL')
      await drip.exited
      await proxy.close()
    })
  }
})
