// What a run shows while it goes on: a bar on a terminal, plain lines elsewhere.

import { MultiBar, Presets } from 'cli-progress'
import Table from 'cli-table3'
import type { TextTable } from './tables.js'

export interface Progress {
  step(what: string): void
  stop(): void
}

export function progress(total: number): Progress {
  return process.stderr.isTTY ? barProgress(total) : lineProgress(total)
}

function barProgress(total: number): Progress {
  const bars = new MultiBar(
    {
      format: '{bar} {value}/{total}  {eta_formatted} left  {what}',
      hideCursor: true,
      clearOnComplete: true,
    },
    Presets.shades_classic,
  )
  const bar = bars.create(total, 0, { what: '' })
  return {
    step: (what) => bar.increment(1, { what }),
    stop: () => bars.stop(),
  }
}

function lineProgress(total: number): Progress {
  let done = 0
  return {
    step: (what) => console.error(`[${++done}/${total}] ${what}`),
    stop: () => undefined,
  }
}

export function printTable({ head, rows }: TextTable): void {
  const table = new Table({
    head,
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  })
  table.push(...rows)
  console.log(table.toString())
}
