// npm run bench:timers - what timeouts cost: 100 and 100,000 connections with an inactivity timeout
// each, beside a timerfd each and Node's timers. Each program verifies that every timeout came and
// none was early, prints one line of JSON and ends. See README.md.
// Exit code 1 when a program failed, not when a target is missed.

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { number } from './harness/format.js'
import type { Group } from './harness/programs.js'
import { runSeries } from './harness/series.js'

const here = dirname(fileURLToPath(import.meta.url))

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    native: { type: 'string', default: 'build/optimized/bench' },
    out: { type: 'string', default: 'bench/results' },
  },
})

const program = join(flags.native, 'netvc_timers')

const common = {
  n: 'armed',
  armNs: 'arm, ns',
  rearmNs: 'set again, ns',
  firedNs: 'each told, ns',
  idleUs: 'idle, µs of CPU per s',
}

function group(n: number): Group {
  return {
    id: `timers-${String(n)}`,
    title: `${number(n)} timeouts: CPU time`,
    figures: common,
    programs: {
      'netvc connections': [program, 'vc', String(n)],
      'a timerfd each': [program, 'timerfd', String(n)],
      'Node setTimeout, refresh': [
        process.execPath,
        join(here, 'peers', 'timers.js'),
        ...['--n', String(n)],
      ],
    },
    reference: 'Node setTimeout, refresh',
    ratioOf: ['rearmNs', 'firedNs'],
  }
}

const few = '100 connections'
const many = '100,000 connections'

// What must not grow with the connections that are not due.
const scale: Group = {
  id: 'scale',
  title: 'netvc: what does not grow with the connections that are armed and not due',
  figures: {
    readNs: 'a read on one of 100 busy ones, ns',
    plainReadNs: 'without timeout, ns',
    lookNs: 'look, not due, ns',
    idleUs: 'idle, µs of CPU per s',
    idleTurns: 'turns per idle s',
  },
  programs: {
    [few]: [program, 'vc', '100'],
    [many]: [program, 'vc', '100000'],
  },
  reference: few,
  ratioOf: ['readNs', 'idleUs'],
  targets: [
    { program: many, figure: 'readNs', against: few, atMost: 1.15 },
    { program: many, figure: 'idleUs', against: few, atMost: 2 },
  ],
}

if (!existsSync(program)) {
  throw new Error(`netvc_timers is not in ${flags.native}; npm run bench:timers builds it`)
}
await runSeries([group(100), group(100_000), scale], Number(flags.rounds), {
  name: 'timers',
  title: 'netvc benchmarks: timeouts',
  remark:
    'Every program checks that all timeouts came, and none early. The column "armed" says how many ' +
    'there really were: a timerfd takes a descriptor each.',
  folder: flags.out,
})
