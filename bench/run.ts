// npm run bench [-- --quick] - measures netvc and its peers side by side; see README.md.
// Exit code 1 when a byte was wrong or a server failed, not when a target is missed.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chart } from './harness/chart.js'
import { printTable, progress } from './harness/console.js'
import { describeMachine } from './harness/machine.js'
import { countRuns, SuiteRunner, type Journal, type MeasureOptions } from './harness/measure.js'
import { congestionInside, prepareLoopback, restartInside } from './harness/namespace.js'
import { killAll } from './harness/processes.js'
import { markdown } from './harness/report.js'
import { judge, summarize } from './harness/summary.js'
import { isEmpty, noiseLine, problemLines, tableOf, verdictTable } from './harness/tables.js'
import { suites, targets } from './suites.js'

const usage = `npm run bench -- [options]
  --quick             3 short rounds: a look, not a result
  --suite NAME        only this suite (may be repeated): ${suites.map((s) => s.id).join(', ')}
  --server TEXT       only servers whose name contains TEXT (may be repeated)
  --rounds N          default 5
  --seconds S         measured time of a run, default 1
  --congestion NAME   TCP congestion control for all, e.g. reno (needs root); default: the system's
  --server-cpu N      default 0         --load-cpu N   default 1
  --native FOLDER     where CMake put netvc_loadgen
  --out FOLDER        default bench/results`

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    suite: { type: 'string', multiple: true, default: [] },
    server: { type: 'string', multiple: true, default: [] },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    congestion: { type: 'string' },
    'server-cpu': { type: 'string', default: '0' },
    'load-cpu': { type: 'string', default: '1' },
    native: { type: 'string' },
    out: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

/** The package's folder: the nearest one above that holds a package.json. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) {
    folder = dirname(folder)
  }
  return folder
}

function nativeFolder(root: string): string {
  const candidates = flags.native
    ? [resolve(flags.native)]
    : ['bench', 'optimized/bench', 'dev/bench'].map((name) => join(root, 'build', name))
  const found = candidates.find((folder) => existsSync(join(folder, 'netvc_loadgen')))
  if (found !== undefined) return found
  console.error('The load generator is not built. This builds it first: npm run bench')
  process.exit(1)
}

function chosenSuites() {
  const wanted = (name: string) =>
    flags.server.length === 0 || flags.server.some((part) => name.includes(part))
  return suites
    .filter((suite) => flags.suite.length === 0 || flags.suite.includes(suite.id))
    .map((suite) => ({
      ...suite,
      configurations: suite.configurations.map((c) => ({
        ...c,
        servers: c.servers.filter((s) => wanted(s) || s === c.reference),
      })),
    }))
}

function resultName(folder: string): string {
  const day = new Date().toISOString().slice(0, 10) + (flags.quick ? '-quick' : '')
  let name = day
  for (let i = 2; existsSync(join(folder, `${name}.json`)); i++) name = `${day}-${i}`
  return name
}

async function main(): Promise<void> {
  const root = packageRoot()
  const options: MeasureOptions = {
    nativeFolder: nativeFolder(root),
    peerFolder: join(dirname(fileURLToPath(import.meta.url)), 'peers'),
    serverCpu: Number(flags['server-cpu']),
    loadCpu: Number(flags['load-cpu']),
    rounds: Number(flags.rounds ?? (flags.quick ? 3 : 5)),
    seconds: Number(flags.seconds ?? (flags.quick ? 0.4 : 1)),
    warmup: flags.quick ? 0.2 : 0.3,
    pause: flags.quick ? 0.1 : 0.4,
  }
  const algorithm = congestionInside()
  if (algorithm !== undefined) prepareLoopback(algorithm)
  const machine = describeMachine(algorithm)
  if (machine.loadAverage > 0.5) {
    console.error(
      `Something else is running here (load average ${machine.loadAverage.toFixed(2)}).`,
    )
  }

  const journal: Journal = { samples: [], failures: [], skipped: [] }
  const selected = chosenSuites()
  const bar = progress(selected.reduce((sum, suite) => sum + countRuns(suite, options), 0))
  for (const suite of selected) {
    await new SuiteRunner(suite, options, journal, (what) => bar.step(what)).run()
  }
  bar.stop()

  const tables = summarize(selected, journal)
  const verdicts = judge(
    targets.filter((target) => selected.some((suite) => suite.id === target.suite)),
    journal,
  )
  for (const table of tables.filter((t) => !isEmpty(t))) {
    console.log(`\n${table.suite}: ${table.title}`)
    printTable(tableOf(table))
    const noise = noiseLine(table)
    if (noise !== undefined) console.log(noise)
  }
  if (verdicts.length > 0) {
    console.log('\nTargets')
    printTable(verdictTable(verdicts))
  }
  for (const line of problemLines(journal)) console.log(line)

  const folder = resolve(flags.out ?? join(root, 'bench', 'results'))
  mkdirSync(folder, { recursive: true })
  const name = resultName(folder)
  const date = new Date().toISOString()
  const { nativeFolder: _native, peerFolder: _peers, ...settings } = options
  writeFileSync(
    join(folder, `${name}.json`),
    JSON.stringify({ date, machine, options: settings, verdicts, tables, ...journal }, null, 1),
  )
  writeFileSync(join(folder, `${name}.svg`), chart(tables))
  const report = { date: date.slice(0, 10), machine, options, tables, verdicts, journal }
  writeFileSync(join(folder, `${name}.md`), markdown(report, `${name}.svg`))
  console.log(`\nWritten: ${join(folder, name)}.{md,svg,json}`)
  process.exitCode = journal.failures.length > 0 ? 1 : 0
}

process.on('exit', killAll)
if (flags.help) {
  console.log(usage)
} else if (flags.congestion !== undefined && congestionInside() === undefined) {
  restartInside(flags.congestion)
} else {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
  await main()
}
