// The tables of a run as rows of text: the console and the Markdown report show the
// same ones.

import { isIdle } from './loadgen.js'
import type { Journal, Sample } from './measure.js'
import { number, percent, range, ratio } from './format.js'
import { resolution, type Table, type Verdict } from './summary.js'

const busyShare = 0.05

export interface TextTable {
  head: string[]
  rows: string[][]
}

export function verdictTable(verdicts: Verdict[]): TextTable {
  return {
    head: ['server CPU per message', 'load', 'target', 'median', 'min – max', 'rounds', 'verdict'],
    rows: verdicts.map(({ target, ratio: measured, outcome }) => [
      `${target.server}${target.jsThread ? ' (JS thread)' : ''} : ${target.against}`,
      `${target.suite} ${target.configuration}`,
      `≤ ${ratio(target.atMost)}`,
      ratio(measured.median),
      range(measured, ratio),
      String(measured.count),
      outcome,
    ]),
  }
}

export function loadTable(table: Table): TextTable {
  const unit = table.unit
  return {
    head: [
      'server',
      `CPU µs/${unit}`,
      'MAD',
      'min – max',
      `: ${table.reference}`,
      'min – max',
      'JS thread µs',
      'all windows µs',
      unit === 'MB' ? 'MB/s' : `${unit}s/s`,
      'p50 µs',
      'p99 µs',
      'clean',
      'runs',
    ],
    rows: table.rows.map((row) => [
      row.server,
      number(row.cpuUs.median),
      number(row.cpuUs.mad),
      range(row.cpuUs, number),
      ratio(row.ratio.median),
      range(row.ratio, ratio),
      number(row.cpuMainUs),
      number(row.cpuOverallUs),
      number(row.perSecond),
      number(row.p50Us),
      number(row.p99Us),
      percent(row.cleanShare),
      row.disturbed > 0 ? `${row.cpuUs.count} (+${row.disturbed} dropped)` : `${row.cpuUs.count}`,
    ]),
  }
}

export function idleTable(table: Table): TextTable {
  return {
    head: [
      'server',
      'RSS before KiB',
      'bytes/connection',
      'after one echo each',
      'accepted all in s',
      'CPU while idle ms/s',
      'runs',
    ],
    rows: table.idleRows.map((row) => [
      row.server,
      number(row.startKiB),
      number(row.bytesConnected),
      number(row.bytesEchoed),
      number(row.connectSeconds),
      number(row.idleCpuMsPerSecond),
      String(row.runs),
    ]),
  }
}

export function isEmpty(table: Table): boolean {
  return table.rows.length === 0 && table.idleRows.length === 0
}

export function tableOf(table: Table): TextTable {
  return table.idleRows.length > 0 ? idleTable(table) : loadTable(table)
}

/** One line on what the reference says about itself, or nothing when it ran too little. */
export function noiseLine(table: Table): string | undefined {
  if (table.noise.count === 0) return undefined
  const { min, max } = table.noise
  const wide = max / min > (1 + 2 * resolution) ** 2 ? ' - a restless host, read with care' : ''
  return `${table.reference} against itself, same round: ${ratio(min)} – ${ratio(max)}${wide}`
}

/** How many samples the machine spoiled, and whether its own other programs did it. */
function disturbanceLine(samples: Sample[]): string[] {
  const disturbed = samples.filter((sample) => sample.disturbed)
  if (disturbed.length === 0) return []
  const busy = disturbed.filter(({ result }) => {
    return !isIdle(result) && result.windows.preemptedMs > result.seconds * 1000 * busyShare
  })
  return [
    `dropped: ${disturbed.length} of ${samples.length} runs had too few clean windows; ` +
      `in ${busy.length} of them other programs of this machine held the generator's CPU`,
  ]
}

export function problemLines(journal: Journal): string[] {
  const line = (kind: string) => (f: Journal['failures'][number]) =>
    `${kind}: ${f.suite} ${f.configuration}, ${f.server}: ${f.reason}`
  return [
    ...journal.failures.map(line('FAILED')),
    ...journal.skipped.map(line('skipped')),
    ...disturbanceLine(journal.samples),
  ]
}
