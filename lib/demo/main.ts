// npm start: an origin and clients in this process, a native proxy between them in another one, and
// beside it the same proxy written with node:net. Every byte is verified on both ends.

import type { AddressInfo } from 'node:net'
import { availableParallelism } from 'node:os'

import { Contender } from './contender.js'
import { startOrigin } from './origin.js'
import { table, type Results } from './report.js'
import { loads, type LoadName } from './traffic.js'

const rounds = 6
const enoughAfterMs = 25_000
const limitMs = 55_000

function fail(error: Error): never {
  console.error(`\ndemo failed: ${error.message}`)
  process.exit(1)
}

function progress(text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}`)
}

// The verifiers throw in event handlers.
process.on('uncaughtException', fail)
const began = performance.now()
const watchdog = setTimeout(() => fail(new Error('it does not end')), limitMs)
const origin = await startOrigin(fail)
const { port } = origin.address() as AddressInfo

console.log(`origin     tcp://127.0.0.1:${String(port)}, clients and origin verify every byte`)
for (const [name, { text }] of Object.entries(loads)) console.log(`${name.padEnd(11)}${text}`)
console.log(
  'in turn    through a node:net pipe() proxy and a netvc tunnel() proxy, one process each\n',
)

try {
  const node = await Contender.start('node', port)
  const netvc = await Contender.start('netvc', port)
  const results: Results = { streams: [], messages: [] }
  let verified = 0

  // Round 0 warms up. Neighbouring runs make a pair, and the order changes, so that a machine whose
  // speed varies favours nobody.
  for (let round = 0; round <= rounds; round++) {
    if (round > 3 && performance.now() - began > enoughAfterMs) break
    for (const load of Object.keys(loads) as LoadName[]) {
      progress(`round ${String(round)} of ${String(rounds)}: ${load}`)
      const first = await (round % 2 ? node : netvc).measure(load)
      const second = await (round % 2 ? netvc : node).measure(load)
      verified += first.bytes + second.bytes
      if (round === 0) continue
      const [a, b] = round % 2 ? [first, second] : [second, first]
      results[load].push({ node: a, netvc: b })
    }
  }
  progress('')
  console.log(table(results))

  const mib = (verified / 1024 / 1024).toFixed(0)
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  const cores = String(availableParallelism())
  console.log(
    `${mib} MiB verified, no byte lost or changed; ${seconds} s; ${cores} cores, loopback.`,
  )
  console.log(
    'Clients and origin share the cores and limit the rates; the CPU rows are the proxy alone.',
  )
  node.stop()
  netvc.stop()
} catch (error) {
  fail(error as Error)
}
origin.close()
clearTimeout(watchdog)

console.log(`
Next:
  npx netvc echo tcp://127.0.0.1:7000                          an echo server
  npx netvc proxy tcp://127.0.0.1:7001 tcp://127.0.0.1:7000    a proxy before it
  npm test                                                     C++ and JavaScript tests
  npm run bench                                                against node:net, HAProxy and nginx
  docs/architecture.md                                         how it works`)
