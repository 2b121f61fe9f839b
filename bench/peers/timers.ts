// What n timeouts cost in Node: one Timeout per socket, made by setTimeout(), refresh()ed by every
// read, as node:net does it. The figures of netvc_timers, from process.cpuUsage().
//   node timers.js --n 100000
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { n: { type: 'string', default: '100' } } })
const n = Number(values.n)
const far = 3_600_000
const idleMs = 1000
const sets = 200_000 // at least so many in a sample

const cpuNs = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1000
}
/** CPU nanoseconds, each of count. */
const cost = (count: number, work: () => void): number => {
  const start = cpuNs()
  work()
  return (cpuNs() - start) / count
}
const repeats = Math.max(1, Math.ceil(sets / n))

let told = 0
let dueAt = 0
let early = 0
let all = () => {}
const due = () => {
  if (performance.now() < dueAt) early++
  if (++told === n) all()
}
const arm = (ms: number) => {
  const timers: NodeJS.Timeout[] = []
  for (let i = 0; i < n; i++) timers.push(setTimeout(due, ms))
  return timers
}

let timers: NodeJS.Timeout[] = []
let spent = 0
for (let r = 0; r < repeats; r++) {
  for (const timer of timers) clearTimeout(timer)
  spent += cost(n, () => (timers = arm(far)))
}
const armNs = spent / repeats
const rearmNs = cost(n * repeats, () => {
  for (let r = 0; r < repeats; r++) for (const timer of timers) timer.refresh()
})

// idle: the loop sleeps for all of this time.
const start = cpuNs()
await new Promise((resolve) => setTimeout(resolve, idleMs))
const idleUs = (cpuNs() - start) / idleMs
for (const timer of timers) clearTimeout(timer)

const soon = 300 + n / 200
dueAt = performance.now() + soon - 1 // Node's timers count in whole milliseconds
arm(soon)
const before = cpuNs()
await new Promise<void>((resolve) => (all = resolve)) // the process ends without, if one is lost
const firedNs = (cpuNs() - before) / n
if (early > 0) throw new Error(`${String(early)} were early`)
console.log(JSON.stringify({ n, armNs, rearmNs, idleUs, idleTurns: 1, firedNs }))
