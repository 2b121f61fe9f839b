// The fuzzer of the public API: random calls in and out of handlers, from three JavaScript threads.
//   node --expose-gc build/tools/test/js/fuzz/fuzz.js [--seed S] [--rounds N] [--seconds N]
//     [--until N] [--patience MS] [--print]
// A round is named by its seed, which decides its setting and every step of every thread. In which
// order threads and sockets come to it is up to the system, so a failure may take several replays.
// --until ends the steps of each thread early: halve it to find what is needed. --print shows all.
import { Worker } from 'node:worker_threads'
import { parseArgs } from 'node:util'
import { Reactor } from 'netvc'
import { openDescriptors } from '../support/descriptors.js'
import { Board } from './board.js'
import { Books, Thrown, type Report } from './books.js'
import { Chance } from './chance.js'
import { judge } from './judge.js'
import { pause, Stage, type Setting } from './stage.js'
import type { WorkerData } from './worker.js'

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    until: { type: 'string', default: '150' },
    patience: { type: 'string', default: '30000' },
    print: { type: 'boolean', default: false },
  },
})
const workerFile = new URL('./worker.js', import.meta.url)
const probe = new Reactor()
const totals: Record<string, number> = {}
let current: Books | undefined

process.on('uncaughtException', (error) => {
  if (error instanceof Thrown && current) current.caught++
  else failed([`uncaught: ${String(error.stack)}`])
})
process.on('unhandledRejection', (error) => {
  failed([`unhandled: ${error instanceof Error ? String(error.stack) : String(error)}`])
})

/** Ends the process without a look for leaks, which would only find what V8 still holds. */
function failed(wrong: string[], trails: string[][] = []): never {
  for (const trail of [current?.trail ?? [], ...trails]) console.log(trail.slice(-150).join('\n'))
  console.log(`failed\n${wrong.slice(0, 20).join('\n')}`)
  process.kill(process.pid, 'SIGKILL')
  throw new Error('failed')
}

/** Everything that a round has to give back. */
const held = () => {
  const { connections, messages, blocks, buffers } = probe.stats()
  return { connections, messages, blocks, buffers, descriptors: openDescriptors().length }
}

function settingOf(seed: number): Setting & { workers: number } {
  const chance = new Chance(seed, 0)
  const threads = chance.pick([0, 0, 1, 3])
  const shared = threads > 0 && chance.oneIn(3)
  const transport = chance.pick(['sockets', 'sockets', 'pairs', 'both'] as const)
  const steps = Number(flags.until)
  return { seed, threads, shared, transport, steps, patience: Number(flags.patience), workers: 2 }
}

/** One of the other threads, as the main one sees it. */
class Player {
  readonly #worker: Worker
  readonly #said: unknown[] = []
  #waiting: (() => void) | undefined
  readonly ended: Promise<number>
  report: Report | undefined
  trail: string[] = []

  constructor(data: WorkerData) {
    this.#worker = new Worker(workerFile, { workerData: data })
    this.#worker.on('error', (error) => failed([`worker: ${String(error.stack)}`]))
    this.#worker.on('message', (message: unknown) => {
      if (typeof message === 'object') {
        ;({ report: this.report, trail: this.trail } = message as Required<Player>)
      }
      this.#said.push(typeof message === 'object' ? 'report' : message)
      this.#waiting?.()
    })
    this.ended = new Promise((resolve) => this.#worker.on('exit', resolve))
    void this.ended.then(() => this.#waiting?.())
  }

  tell(word: string): void {
    this.#worker.postMessage(word)
  }
  async says(word: string): Promise<void> {
    while (!this.#said.includes(word)) {
      await new Promise<void>((resolve) => (this.#waiting = resolve))
    }
  }
}

/** Within a minute, or it is told what has hung. */
async function within<T>(what: string, players: Player[], promise: Promise<T>): Promise<T> {
  const timer = setTimeout(
    () =>
      failed(
        [`hangs: ${what}`],
        players.map((p) => p.trail),
      ),
    100_000,
  )
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

async function round(seed: number): Promise<void> {
  const before = held()
  const { workers, ...setting } = settingOf(seed)
  console.log(`setting ${JSON.stringify(setting)}`)
  const board = new Board()
  const books = (current = new Books(0, board, flags.print))
  const stage = new Stage(setting, books)
  const chance = new Chance(seed, 0, 1)
  if (stage.sockets) for (let i = 0; i < 3; i++) await stage.listen(chance)
  const { memory } = board
  const { addresses } = stage
  const players = Array.from({ length: workers }, (_, i) => {
    return new Player({ setting, thread: i + 1, memory, addresses, print: flags.print })
  })
  const all = (word: string) => {
    const heard = Promise.all(players.map((player) => player.says(word)))
    return within(word, players, heard)
  }
  const tell = (word: string) => {
    for (const player of players) player.tell(word)
  }
  await all('ready')
  tell('go')
  for (let i = 0; i < setting.steps && !board.failed; i++) await stage.step(i)
  await all('stepped')
  tell('calm')
  await stage.calm()
  await all('calm')
  tell('close')
  await stage.close()
  await all('report')
  await within('the end of the workers', players, Promise.all(players.map(({ ended }) => ended)))
  const reports = [books.report(), ...players.flatMap(({ report }) => report ?? [])]
  const wrong = [...reports.flatMap((report) => report.wrong), ...judge(board, reports)]
  if (wrong.length > 0)
    failed(
      wrong,
      players.map(({ trail }) => trail),
    )
  for (const { counts } of reports) {
    for (const [what, n] of Object.entries(counts)) totals[what] = (totals[what] ?? 0) + n
  }
  await given(before)
}

/** What was held before a round is held after it. */
async function given(before: ReturnType<typeof held>): Promise<void> {
  const limit = Date.now() + 20_000
  for (;;) {
    ;(globalThis as { gc?: () => void }).gc?.()
    const now = held()
    const left = Object.keys(now).filter(
      (k) => now[k as keyof typeof now] > before[k as keyof typeof now],
    )
    if (left.length === 0) return
    if (Date.now() > limit) {
      failed([`INV-13: not given back: ${JSON.stringify(before)}, ${JSON.stringify(now)}`])
    }
    await pause(5)
  }
}

const first = Number(flags.seed)
const rounds = flags.rounds === undefined ? Infinity : Number(flags.rounds)
const end = flags.seconds === undefined ? Infinity : Date.now() + 1000 * Number(flags.seconds)
if (rounds === Infinity && end === Infinity) throw new Error('--rounds or --seconds is needed')
for (let i = 0; i < rounds && Date.now() < end; i++) {
  console.log(`round ${String(first + i)}`)
  await round(first + i)
  const sum = Object.values(totals).reduce((a, b) => a + b, 0)
  console.log(`sofar ${JSON.stringify({ rounds: i + 1, calls: sum, rows: totals })}`)
}
await probe.close()
