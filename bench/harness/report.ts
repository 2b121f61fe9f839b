// The report a person reads: Markdown, next to the JSON with every sample.

import { percent } from './format.js'
import type { Machine } from './machine.js'
import type { Journal, MeasureOptions } from './measure.js'
import { resolution, type Table, type Verdict } from './summary.js'
import {
  isEmpty,
  noiseLine,
  problemLines,
  tableOf,
  verdictTable,
  type TextTable,
} from './tables.js'

export interface Report {
  date: string
  machine: Machine
  options: MeasureOptions
  tables: Table[]
  verdicts: Verdict[]
  journal: Journal
}

export function markdownTable({ head, rows }: TextTable): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  const rule = head.map((_, column) => (column === 0 ? '---' : '--:'))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

function machineSection(machine: Machine, options: MeasureOptions): string {
  const peers = Object.entries(machine.peers).map(([name, version]) => `${name} ${version}`)
  return [
    `${machine.cpu}, ${machine.cpus} CPUs, ${machine.memoryGiB} GiB; Linux ${machine.kernel}; ` +
      `Node ${machine.node}; congestion control ${machine.congestionControl}; ` +
      `load average at the start ${machine.loadAverage.toFixed(2)}. ${peers.join(', ')}.`,
    `Server on CPU ${options.serverCpu}, load generator on CPU ${options.loadCpu}; ` +
      `${options.rounds} rounds of ${options.seconds} s after ${options.warmup} s of load.`,
  ].join('\n\n')
}

const howToRead = `
**How to read it.** The figure is the CPU time of the server, all its threads, per message,
connection or megabyte, in the windows of a few milliseconds in which the host took no CPU away.
Every byte was compared on its way back. Ratios are paired: both servers ran in the same round,
seconds apart; *median* and *min – max* go over the rounds. Differences below
${percent(resolution)} are not resolved, and such a ratio is "too close to call" however often it
was measured. *All windows* contains the disturbed ones too, and with them every garbage
collection. Throughput is of the clean windows, and is the weakest figure of all. Method:
[bench/README.md](../README.md).`

function tableSection(table: Table): string {
  const noise = noiseLine(table)
  return [
    `### ${table.suite}: ${table.title}`,
    markdownTable(tableOf(table)),
    ...(noise === undefined ? [] : [noise]),
  ].join('\n\n')
}

export function markdown(report: Report, chartFile: string): string {
  const problems = problemLines(report.journal)
  return [
    `# netvc benchmarks, ${report.date}`,
    machineSection(report.machine, report.options),
    ...(problems.length > 0
      ? [problems.map((line) => `- ${line.replace(/\n/g, ' ')}`).join('\n')]
      : []),
    ...(report.verdicts.length > 0
      ? ['## Targets', markdownTable(verdictTable(report.verdicts))]
      : []),
    howToRead.trim(),
    '## Measurements',
    `![server CPU per unit](${chartFile})`,
    ...report.tables.filter((table) => !isEmpty(table)).map(tableSection),
    '',
  ].join('\n\n')
}
