// npm run bench:pair - two ends joined within one process: reactor.pair() beside what Node has for
// it. Each program verifies every byte, prints one line of JSON and ends. See README.md.
// Exit code 1 when a program failed, not when a target is missed.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Group } from './harness/programs.js'
import { runSeries } from './harness/series.js'

const here = dirname(fileURLToPath(import.meta.url))

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    out: { type: 'string', default: 'bench/results' },
  },
})

const way = (name: string) => [process.execPath, join(here, 'peers', 'pair.js'), '--way', name]
const socket = 'loopback socket, node:net'

const group: Group = {
  id: 'pair',
  title: 'Two ends in one process',
  figures: {
    mbPerSecond: '64 KiB writes, MB/s',
    cpuUsPerMb: 'CPU µs/MB',
    messageNs: '64 B message, ns',
    messageCpuNs: 'CPU ns/message',
    turnNs: '64 B there and back, ns',
    turnCpuNs: 'CPU ns/turn',
  },
  programs: {
    'netvc pair': way('pair'),
    'netvc pair, borrowed': way('pair-borrow'),
    'netvc pair, streams': way('pair-stream'),
    'two PassThrough': way('passthrough'),
    duplexPair: way('duplexpair'),
    [socket]: way('socket'),
  },
  reference: socket,
  ratioOf: ['cpuUsPerMb', 'messageCpuNs', 'turnCpuNs'],
  targets: [
    { program: 'netvc pair', figure: 'messageCpuNs', against: socket, atMost: 1 },
    { program: 'netvc pair', figure: 'cpuUsPerMb', against: socket, atMost: 1 },
    { program: 'netvc pair, streams', figure: 'turnCpuNs', against: socket, atMost: 1 },
  ],
}

await runSeries([group], Number(flags.rounds), {
  name: 'pair',
  title: 'netvc benchmarks: pairs',
  remark:
    'Both ends are in one JavaScript thread, and every byte is compared there. PassThrough and ' +
    'duplexPair hand references on, and copy nothing.',
  folder: flags.out,
})
