// npm run bench:write - what it costs to write from anywhere: submissions from other threads, a
// fan-out, and a peer that never reads. Each program verifies the bytes itself, prints one line of
// JSON and ends; a round runs each of them once, in rotated order. See README.md.
// Exit code 1 when a program failed, not when a target is missed.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { printTable, progress } from './harness/console.js'
import { describeMachine } from './harness/machine.js'
import { programTable, programTargets, type Group, type Run } from './harness/programs.js'
import { markdownTable } from './harness/report.js'

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

const execute = promisify(execFile)

async function main(): Promise<void> {
  if (!existsSync(join(flags.native, 'netvc_write_submit'))) {
    throw new Error(`netvc_write_submit is not in ${flags.native}; npm run bench:write builds it`)
  }
  const machine = describeMachine(undefined)
  const all = groups()
  const rounds = Number(flags.rounds)
  const runs: Run[] = []
  const perRound = all.reduce((sum, g) => sum + Object.keys(g.programs).length, 0)
  const bar = progress(rounds * perRound)
  for (let round = 0; round < rounds; round++) {
    for (const group of all) {
      const names = Object.keys(group.programs)
      for (let i = 0; i < names.length; i++) {
        const name = names[(i + round) % names.length]
        bar.step(`${group.id}, round ${String(round + 1)}: ${name}`)
        const [command, ...args] = group.programs[name]
        const { stdout } = await execute(command, args, { timeout: 120_000 })
        const figures = JSON.parse(stdout) as Record<string, number>
        runs.push({ group: group.id, program: name, round, figures })
      }
    }
  }
  bar.stop()

  const date = new Date().toISOString().slice(0, 10)
  const sections = all.map((group) => ({ group, table: programTable(group, runs) }))
  const targets = programTargets(all, runs)
  for (const { group, table } of sections) {
    console.log(`\n${group.title}`)
    printTable(table)
  }
  console.log('\nTargets')
  printTable(targets)

  const folder = resolve(flags.out)
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${date}-write`)
  const text = [
    `# netvc benchmarks: writing from anywhere, ${date}`,
    `${machine.cpu}, ${String(machine.cpus)} CPUs; Linux ${machine.kernel}; Node ${machine.node}; ` +
      `load average at the start ${machine.loadAverage.toFixed(2)}; ${String(rounds)} rounds, ` +
      'medians, *min – max* over the rounds; ratios are of the same round. Every program checks ' +
      'every byte. Reading the clock costs 20 ns, which are in each native submission.',
    '## Targets',
    markdownTable(targets),
    ...sections.flatMap(({ group, table }) => [`## ${group.title}`, markdownTable(table)]),
    '',
  ].join('\n\n')
  writeFileSync(`${file}.md`, text)
  writeFileSync(`${file}.json`, JSON.stringify({ date, machine, runs }, null, 1))
  console.log(`\nWritten: ${file}.{md,json}`)
}

await main()
