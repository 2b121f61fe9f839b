// npm run bench:write - what it costs to write from anywhere: submissions from other threads, a
// fan-out, and a peer that never reads. Each program verifies the bytes itself, prints one line of
// JSON and ends; a round runs each of them once, in rotated order. See README.md.
// Exit code 1 when a program failed, not when a target is missed.

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Group } from './harness/programs.js'
import { runSeries } from './harness/series.js'

const here = dirname(fileURLToPath(import.meta.url))
const peer = (name: string, ...args: string[]) => [
  process.execPath,
  join(here, 'peers', `${name}.js`),
  ...args,
]
const tool = (name: string, ...args: string[]) => [join(flags.native, name), ...args]

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    messages: { type: 'string', default: '400000' },
    native: { type: 'string', default: 'build/optimized/bench' },
    out: { type: 'string', default: 'bench/results' },
  },
})

const submissionFigures = {
  medianNs: 'median ns',
  p99Ns: 'p99 ns',
  perWritev: 'messages/writev',
  messagesPerSecond: 'messages/s',
}

function groups(): Group[] {
  const each = (threads: number) => String(Math.ceil(Number(flags.messages) / threads))
  const native = [1, 2, 4, 8].map((n): Group => {
    const command = (way: string) => tool('netvc_write_submit', way, String(n), each(n))
    return {
      id: `submit-${String(n)}`,
      title: `64 B messages to one connection from ${String(n)} native thread${n > 1 ? 's' : ''}`,
      figures: submissionFigures,
      programs: { 'mutex and queue': command('mutex'), 'netvc write()': command('list') },
      reference: 'mutex and queue',
      ratioOf: ['medianNs', 'p99Ns'],
    }
  })
  const workers = [1, 2].map((n): Group => {
    const command = (way: string) =>
      peer('write-workers', '--way', way, '--workers', String(n), '--messages', '50000')
    return {
      id: `workers-${String(n)}`,
      title: `64 B messages to one connection from ${String(n)} worker${n > 1 ? 's' : ''}`,
      figures: submissionFigures,
      programs: { 'postMessage to its thread': command('post'), 'write() by id': command('netvc') },
      reference: 'postMessage to its thread',
      ratioOf: ['medianNs', 'p99Ns'],
    }
  })
  const blocked: Group = {
    id: 'blocked',
    title: 'Two workers write 1 KiB messages to a peer that never reads, until they are refused',
    figures: { cap: 'limit', waiting: 'bytes waiting', grown: 'resident memory grown by' },
    programs: { 'netvc write()': peer('write-blocked') },
    targets: [{ program: 'netvc write()', figure: 'grown', against: 'cap', atMost: 1.1 }],
  }
  const readers = peer('fan-out-readers')
  const fanOut: Group = {
    id: 'fan-out',
    title: '1 KiB to 1,000 connections: CPU of the sending process per delivery',
    figures: { cpuUs: 'CPU µs', systemUs: 'of it, kernel µs' },
    programs: {
      'node:net': peer('fan-out', '--way', 'node'),
      'netvc writeMany': peer('fan-out', '--way', 'netvc'),
      'C++ send() each': tool('netvc_fan_out', '1000', '60', ...readers),
    },
    reference: 'node:net',
    ratioOf: ['cpuUs'],
    targets: [
      { program: 'netvc writeMany', figure: 'cpuUs', against: 'node:net', atMost: 0.5 },
      { program: 'netvc writeMany', figure: 'cpuUs', against: 'C++ send() each', atMost: 1.15 },
    ],
  }
  return [...native, ...workers, blocked, fanOut]
}

if (!existsSync(join(flags.native, 'netvc_write_submit'))) {
  throw new Error(`netvc_write_submit is not in ${flags.native}; npm run bench:write builds it`)
}
await runSeries(groups(), Number(flags.rounds), {
  name: 'write',
  title: 'netvc benchmarks: writing from anywhere',
  remark:
    'Every program checks every byte. Reading the clock costs 20 ns, which are in each native submission.',
  folder: flags.out,
})
