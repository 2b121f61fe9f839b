// Runs programs that measure themselves, in rounds, and writes the report: what write.ts and
// timers.ts have in common. Each program prints one line of JSON and ends.

import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { printTable, progress } from './console.js'
import { describeMachine } from './machine.js'
import { programTable, programTargets, type Group, type Run } from './programs.js'
import { markdownTable } from './report.js'

const execute = promisify(execFile)

/** A round runs each program once, in rotated order. */
async function runRounds(groups: Group[], rounds: number): Promise<Run[]> {
  const runs: Run[] = []
  const perRound = groups.reduce((sum, g) => sum + Object.keys(g.programs).length, 0)
  const bar = progress(rounds * perRound)
  for (let round = 0; round < rounds; round++) {
    for (const group of groups) {
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
  return runs
}

export interface Report {
  /** Of the files: <date>-<name>. */
  name: string
  title: string
  /** What a reader has to know, after the machine and the rounds. */
  remark: string
  folder: string
}

/** Everything from the first round to the files. */
export async function runSeries(groups: Group[], rounds: number, report: Report): Promise<void> {
  const machine = describeMachine(undefined)
  const runs = await runRounds(groups, rounds)
  const date = new Date().toISOString().slice(0, 10)
  const sections = groups.map((group) => ({ group, table: programTable(group, runs) }))
  const targets = programTargets(groups, runs)
  for (const { group, table } of sections) {
    console.log(`\n${group.title}`)
    printTable(table)
  }
  console.log('\nTargets')
  printTable(targets)

  const folder = resolve(report.folder)
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${date}-${report.name}`)
  const text = [
    `# ${report.title}, ${date}`,
    `${machine.cpu}, ${String(machine.cpus)} CPUs; Linux ${machine.kernel}; Node ${machine.node}; ` +
      `load average at the start ${machine.loadAverage.toFixed(2)}; ${String(rounds)} rounds, ` +
      `medians, *min – max* over the rounds; ratios are of the same round. ${report.remark}`,
    '## Targets',
    markdownTable(targets),
    ...sections.flatMap(({ group, table }) => [`## ${group.title}`, markdownTable(table)]),
    '',
  ].join('\n\n')
  writeFileSync(`${file}.md`, text)
  writeFileSync(`${file}.json`, JSON.stringify({ date, machine, runs }, null, 1))
  console.log(`\nWritten: ${file}.{md,json}`)
}
