import Table from 'cli-table3'

import type { Measured } from './contender.js'
import type { LoadName } from './traffic.js'

/** The same rounds for both proxies, in pairs that ran next to each other. */
export interface Pair {
  node: Measured
  netvc: Measured
}
export type Results = Record<LoadName, Pair[]>

type Figure = Exclude<keyof Measured, 'bytes' | 'messages'>

const rows: { load: LoadName; figure: Figure; title: string; digits: number }[] = [
  { load: 'streams', figure: 'mibPerSecond', title: 'streams: MiB/s', digits: 0 },
  { load: 'streams', figure: 'cpuUsPerMib', title: 'streams: proxy CPU us per MiB', digits: 0 },
  { load: 'messages', figure: 'messagesPerSecond', title: 'messages: per second', digits: 0 },
  { load: 'messages', figure: 'cpuUsPerMessage', title: 'messages: proxy CPU us each', digits: 1 },
]

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** How many times better netvc is: more of a rate, less of a cost. */
function gain(node: number, netvc: number, figure: Figure): number {
  return figure.startsWith('cpu') ? node / netvc : netvc / node
}

export function table(results: Results): string {
  const out = new Table({
    head: [
      'median of the rounds',
      'node:net pipe()',
      'netvc tunnel()',
      'netvc is',
      'in single rounds',
    ],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  })
  for (const { load, figure, title, digits } of rows) {
    const pairs = results[load]
    const node = median(pairs.map((p) => p.node[figure]))
    const netvc = median(pairs.map((p) => p.netvc[figure]))
    const gains = pairs.map((p) => gain(p.node[figure], p.netvc[figure], figure))
    const times = `${gain(node, netvc, figure).toFixed(2)} x`
    const range = `${Math.min(...gains).toFixed(2)}..${Math.max(...gains).toFixed(2)}`
    out.push([title, node.toFixed(digits), netvc.toFixed(digits), times, range])
  }
  return out.toString()
}
