// Bars of server CPU per unit, one panel per configuration, with whiskers from the
// smallest to the largest round. Plain SVG: a report should open anywhere.

import { number, ratio } from './format.js'
import type { Row, Table } from './summary.js'

const width = 860
const nameWidth = 190
const figureWidth = 170
const barHeight = 18
const barGap = 8
const panelHead = 46
const panelGap = 22
const colors = {
  ours: '#2563eb',
  reference: '#64748b',
  other: '#cbd5e1',
  whisker: '#0f172a',
  text: '#0f172a',
  faint: '#475569',
}

function escape(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
}

function label(x: number, y: number, text: string, attributes = ''): string {
  return `<text x="${x}" y="${y}" ${attributes}>${escape(text)}</text>`
}

function colorOf(server: string, reference: string): string {
  if (server.startsWith('netvc')) return colors.ours
  return server === reference ? colors.reference : colors.other
}

function bar(row: Row, reference: string, y: number, scale: (value: number) => number): string {
  const { median, min, max } = row.cpuUs
  const middle = y + barHeight / 2
  const [left, right] = [nameWidth + scale(min), nameWidth + scale(max)]
  const cap = (x: number) => `M${x.toFixed(1)} ${middle - 4}v8`
  const figure = `${number(median)} µs   × ${ratio(row.ratio.median)}`
  return [
    label(nameWidth - 10, middle + 4, row.server, 'text-anchor="end"'),
    `<rect x="${nameWidth}" y="${y}" width="${scale(median).toFixed(1)}" height="${barHeight}" ` +
      `fill="${colorOf(row.server, reference)}"/>`,
    `<path d="M${left.toFixed(1)} ${middle}H${right.toFixed(1)}${cap(left)}${cap(right)}" ` +
      `stroke="${colors.whisker}" fill="none"/>`,
    label(width - figureWidth + 24, middle + 4, figure, 'xml:space="preserve"'),
  ].join('\n')
}

function panel(table: Table, top: number): { svg: string; height: number } {
  const rows = table.rows.filter((row) => row.cpuUs.count > 0)
  const largest = Math.max(...rows.map((row) => row.cpuUs.max))
  const scale = (value: number) => (value / largest) * (width - nameWidth - figureWidth)
  const bars = rows.map((row, i) =>
    bar(row, table.reference, top + panelHead + i * (barHeight + barGap), scale),
  )
  const head = [
    label(10, top + 16, `${table.suite}: ${table.title}`, 'font-weight="600"'),
    label(
      ...([10, top + 33, `server CPU µs per ${table.unit}; × ${table.reference}`] as const),
      `fill="${colors.faint}"`,
    ),
  ]
  return {
    svg: [...head, ...bars].join('\n'),
    height: panelHead + rows.length * (barHeight + barGap) + panelGap,
  }
}

export function chart(tables: Table[]): string {
  let top = 10
  const panels: string[] = []
  for (const table of tables) {
    if (!table.rows.some((row) => row.cpuUs.count > 0)) continue
    const { svg, height } = panel(table, top)
    panels.push(svg)
    top += height
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top}" width="${width}" \
height="${top}" font-family="system-ui, sans-serif" font-size="12" fill="${colors.text}">
<rect width="100%" height="100%" fill="white"/>
${panels.join('\n')}
</svg>
`
}
