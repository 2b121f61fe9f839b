import { expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'

onBothEngines((threads) => {
  // NETVC_DEBUG=ids: their numbers begin 256 before the last one, and begin again there.
  test('requests beyond the last number settle, each its own; those in use are skipped', async () => {
    const script = `
      const reactor = new Reactor({ threads })
      const handed = []
      const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => handed.push(vc))
      const to = listener.addresses[0]
      const turn = () => new Promise((resolve) => setImmediate(resolve))
      const dial = async () => {
        const vc = await reactor.connect(to)
        while (handed.length === 0) await turn()
        return [vc, handed.shift()]
      }
      const counts = { tunnels: 0, connects: 0, refused: 0, notices: 0, failed: 0 }
      // Old ones that stay: a tunnel, a listener that is told by its number, and a notice.
      const [source, left] = await dial(), [right, target] = await dial()
      const old = tunnel(left, right)
      source.onFailed(() => counts.failed++)
      for (let round = 0; round < 50; round++) {
        await source.write('x', { completion: true })
        counts.notices++
      }
      for (let round = 0; round < 300; round++) {
        await reactor.connect('unix://@netvc-nobody-' + process.pid).catch(() => counts.refused++)
      }
      for (let round = 0; round < 20; round++) {
        const [vc, peer] = await dial()
        counts.connects++
        vc.doIoClose(); peer.doIoClose()
      }
      // Tunnels have no cheaper way to use up their numbers: their ends are pairs.
      for (let round = 0; round < 300; round++) {
        const [a, b] = reactor.pair(), [c, d] = reactor.pair()
        const t = tunnel(b, c)
        a.doIoClose()
        await t.closed
        counts.tunnels++
        d.doIoClose()
      }
      source.setFailed(new Error('enough'))
      target.doIoClose()
      const { reason } = await old.closed
      await listener.close()
      await reactor.close()
      console.log(JSON.stringify({ ...counts, reason: typeof reason }))`
    const child = await runChild(script, { threads, env: { NETVC_DEBUG: 'ids' } })
    expect(child).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(child.stdout)).toEqual({
      tunnels: 300,
      connects: 20,
      refused: 300,
      notices: 50,
      failed: 1,
      reason: 'string',
    })
  })
})
