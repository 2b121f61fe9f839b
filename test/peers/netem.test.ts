import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'

import { run } from './support/programs.js'

// A network that loses packets and is slow, in a network namespace of the test's own; everything
// runs in there. It takes unshare, iproute2, and a kernel that has these queueing disciplines.
// Packets of Ethernet's size: of those of loopback there would be too few to lose any.

const up = 'ip link set lo mtu 1500 up'
const lossy = {
  'netem: 1 % loss and 5 ms of delay each way': 'netem loss 1% delay 5ms',
  'tbf: a slow link with a short queue': 'tbf rate 100mbit burst 16kb limit 30kb',
}

const with_ = (kind: string) => `${up} && tc qdisc add dev lo root ${kind}`

/** What is missing, or undefined. */
function obstacle(prepare: string): string | undefined {
  const { status, stderr, error } = spawnSync('unshare', ['-rn', 'sh', '-c', prepare], {
    encoding: 'utf8',
  })
  if (error) return error.message
  return status === 0 ? undefined : stderr.trim().replaceAll('\n', '; ')
}

// Clients behind a proxy in front of an echo: every byte comes back, and all of them end in order.
const script = `
import { randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import { Reactor, tunnel } from 'netvc'
const [threads, clients, bytes] = process.env.WORK.split(' ').map(Number)
const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
await new Promise((resolve) => echo.listen(0, '127.0.0.1', resolve))
const reactor = new Reactor({ threads })
const reasons = []
const listener = await reactor.listen('tcp://127.0.0.1:0', async (client) => {
  const server = await reactor.connect('tcp://127.0.0.1:' + echo.address().port)
  reasons.push(await tunnel(client, server).closed)
})
const port = Number(new URL(listener.addresses[0]).port)
const one = () => new Promise((resolve, reject) => {
  const sent = randomBytes(bytes)
  const got = []
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('data', (piece) => got.push(piece)).on('error', reject)
  socket.on('end', () => resolve(Buffer.concat(got).equals(sent)))
  socket.end(sent)
})
const exact = await Promise.all(Array.from({ length: clients }, one))
await reactor.close()
echo.close()
console.log(JSON.stringify({ exact: exact.filter(Boolean).length, reasons: reasons.map((r) => r.reason + ' ' + r.aToB + ' ' + r.bToA) }))
`

const noNamespace = obstacle(up)
const missing = Object.fromEntries(
  Object.entries(lossy).map(([title, kind]) => [title, noNamespace ?? obstacle(with_(kind))]),
)
for (const [title, reason] of Object.entries(missing)) {
  if (reason) console.log(`${title}: not applicable here, and not tested: ${reason}`)
}

describe.each([0, 1])('a proxy in a network namespace, threads %d', (threads) => {
  /** The packets that were dropped on the way. */
  async function proxied(prepare: string, clients: number, bytes: number): Promise<number> {
    const program = `"$0" --input-type=module --eval "$1" && tc -s qdisc show dev lo`
    const { code, stdout, stderr } = await run('env', [
      `WORK=${String(threads)} ${String(clients)} ${String(bytes)}`,
      ...['unshare', '-rn', 'sh', '-c', `${prepare} && ${program}`],
      ...[process.execPath, script],
    ])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const reason = `eos ${String(bytes)} ${String(bytes)}`
    const [report, ...statistics] = stdout.split('\n')
    expect(JSON.parse(report)).toEqual({
      exact: clients,
      reasons: Array.from({ length: clients }, () => reason),
    })
    return Number(/dropped (\d+)/.exec(statistics.join('\n'))?.[1])
  }

  test.runIf(!noNamespace)('nothing is lost, to compare: every byte', async () => {
    expect(await proxied(up, 8, 2 << 20)).toBe(0)
  })

  for (const [title, kind] of Object.entries(lossy)) {
    test.runIf(!missing[title])(`${title}: every byte`, async () => {
      expect(await proxied(with_(kind), 8, 512 << 10)).toBeGreaterThan(0)
    })
  }
})
