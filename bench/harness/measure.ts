// Runs one suite: all its servers stay up, and every round visits every configuration
// and in it every server once, in rotated order, the reference twice. So a change of
// the host's speed meets all servers alike and shows up in the reference's own spread.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../peers/support.js'
import type { Configuration, ServerSpec, Suite } from '../suites.js'
import { isIdle, LoadFailed, runLoad, type AnyResult } from './loadgen.js'
import { Skipped, startServer, type RunningServer } from './processes.js'

export interface MeasureOptions {
  nativeFolder: string
  peerFolder: string
  serverCpu: number
  loadCpu: number
  rounds: number
  seconds: number
  warmup: number
  /** Rest before each run: the host is kinder to CPUs that are not always busy. */
  pause: number
}

export interface Sample {
  suite: string
  configuration: string
  server: string
  round: number
  /** Fewer clean windows than a figure can stand on; kept, but not counted. */
  disturbed: boolean
  result: AnyResult
}

export interface Failure {
  suite: string
  configuration: string
  server: string
  reason: string
}

export interface Journal {
  samples: Sample[]
  /** Wrong bytes, resets, crashes, servers that do not start. */
  failures: Failure[]
  /** Servers this machine does not have. */
  skipped: Failure[]
}

const minimumCleanWindows = 20
const minimumCleanShare = 0.25
const freshRounds = 3
const attempts = 4

/** The servers of a round: rotated, and the reference once more, half a round away. */
export function orderOfRound(servers: string[], reference: string, round: number): string[] {
  const shift = round % servers.length
  const rotated = [...servers.slice(shift), ...servers.slice(0, shift)]
  const late = rotated.indexOf(reference) >= rotated.length / 2
  return late ? [reference, ...rotated] : [...rotated, reference]
}

function roundsOf(configuration: Configuration, options: MeasureOptions): number {
  return configuration.fresh ? Math.min(options.rounds, freshRounds) : options.rounds
}

/** How many runs `measureSuite` will make, for the progress bar. */
export function countRuns(suite: Suite, options: MeasureOptions): number {
  return suite.configurations.reduce(
    (sum, c) => sum + (c.servers.length + 1) * roundsOf(c, options),
    0,
  )
}

export class SuiteRunner {
  private readonly running = new Map<string, RunningServer>()
  private readonly unavailable = new Set<string>()
  private backendPort = 0

  constructor(
    private readonly suite: Suite,
    private readonly options: MeasureOptions,
    private readonly journal: Journal,
    private readonly onRun: (what: string) => void,
  ) {}

  async run(): Promise<void> {
    if (this.suite.proxy) this.backendPort = await freePort()
    try {
      await this.startAll()
      for (let round = 0; round < this.options.rounds; round++) {
        for (const configuration of this.suite.configurations) {
          if (round < roundsOf(configuration, this.options)) await this.round(configuration, round)
        }
      }
    } finally {
      for (const server of this.running.values()) await server.stop()
    }
  }

  private async startAll(): Promise<void> {
    const permanent = this.suite.configurations.filter((c) => !c.fresh).flatMap((c) => c.servers)
    for (const spec of this.suite.servers) {
      if (permanent.includes(spec.id)) await this.start(spec)
    }
  }

  private async start(spec: ServerSpec): Promise<void> {
    try {
      this.running.set(spec.id, await startServer(this.commandOf(spec), this.options.serverCpu))
    } catch (error) {
      this.unavailable.add(spec.id)
      const list = error instanceof Skipped ? this.journal.skipped : this.journal.failures
      list.push(this.note('-', spec.id, error))
    }
  }

  private commandOf(spec: ServerSpec): string[] {
    const args = [...(spec.args ?? [])]
    if (this.suite.proxy) args.push('--to', `127.0.0.1:${this.backendPort}`)
    if ('native' in spec.program) {
      return [join(this.options.nativeFolder, spec.program.native), ...args]
    }
    const file = join(this.options.peerFolder, `${spec.program.peer}.js`)
    if (!existsSync(file)) throw new Error(`${file} is missing: run "npm run build:tools"`)
    return [process.execPath, file, ...args]
  }

  private async round(configuration: Configuration, round: number): Promise<void> {
    for (const id of orderOfRound(configuration.servers, configuration.reference, round)) {
      this.onRun(`${this.suite.id} ${configuration.id}, round ${round + 1}: ${id}`)
      if (!this.unavailable.has(id)) await this.measure(configuration, id, round)
    }
  }

  private async measure(configuration: Configuration, id: string, round: number): Promise<void> {
    if (configuration.fresh) await this.start(this.suite.servers.find((s) => s.id === id)!)
    const server = this.running.get(id)
    if (server === undefined) return
    try {
      if (round === 0 && !configuration.fresh) await this.load(configuration, server, 0.1) // JIT, pools
      for (let attempt = 1; ; attempt++) {
        const result = await this.load(configuration, server, this.options.seconds)
        const disturbed = isDisturbed(result)
        if (disturbed && attempt < attempts) {
          await sleep(2 ** attempt * 500) // a compiler, a cron job: it may be over soon
          continue
        }
        this.journal.samples.push({
          ...{ suite: this.suite.id, configuration: configuration.id, server: id },
          ...{ round, disturbed, result },
        })
        return
      }
    } catch (error) {
      if (!(error instanceof LoadFailed)) throw error
      // A server that lost a byte once is not asked again.
      this.unavailable.add(id)
      this.journal.failures.push(this.note(configuration.id, id, error))
    } finally {
      if (configuration.fresh) {
        await server.stop()
        this.running.delete(id)
      }
    }
  }

  private async load(
    configuration: Configuration,
    server: RunningServer,
    seconds: number,
  ): Promise<AnyResult> {
    const { serverCpu, loadCpu, warmup, pause, nativeFolder } = this.options
    await sleep(pause * 1000)
    return runLoad(join(nativeFolder, 'netvc_loadgen'), [
      ...configuration.load,
      ...['--target', server.address, '--pid', String(server.pid)],
      ...['--cpu', String(loadCpu), '--server-cpu', String(serverCpu)],
      ...['--seconds', String(seconds), '--warmup', String(warmup)],
      ...(this.suite.proxy ? ['--backend-port', String(this.backendPort)] : []),
    ])
  }

  private note(configuration: string, server: string, error: unknown): Failure {
    const reason = error instanceof Error ? error.message : String(error)
    return { suite: this.suite.id, configuration, server, reason }
  }
}

function isDisturbed(result: AnyResult): boolean {
  if (isIdle(result)) return false
  const { clean, total } = result.windows
  return clean < minimumCleanWindows || clean < total * minimumCleanShare
}
