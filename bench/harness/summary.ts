// From samples to statements: one row per configuration and server, and one verdict
// per target.

import type { Suite, Target } from '../suites.js'
import { isIdle, type IdleResult, type LoadResult } from './loadgen.js'
import type { Journal, Sample } from './measure.js'
import {
  pairedRatios,
  selfRatios,
  spreadOf,
  median,
  type Spread,
  type Timed,
} from './statistics.js'

export interface Row {
  server: string
  /** Server CPU per unit; the unit is the configuration's. */
  cpuUs: Spread
  cpuOverallUs: number
  cpuMainUs: number
  coreBusyUs: number
  /** Against the reference, paired by round. */
  ratio: Spread
  perSecond: number
  p50Us: number
  p99Us: number
  cleanShare: number
  disturbed: number
}

export interface IdleRow {
  server: string
  runs: number
  startKiB: number
  bytesConnected: number
  bytesEchoed: number
  connectSeconds: number
  idleCpuMsPerSecond: number
}

export interface Table {
  suite: string
  configuration: string
  title: string
  reference: string
  unit: string
  rows: Row[]
  idleRows: IdleRow[]
  /** The reference's first run : its second of the same round. What is noise shows here. */
  noise: Spread
}

export type Outcome = 'met' | 'missed' | 'too close to call' | 'too few rounds' | 'not measured'

export interface Verdict {
  target: Target
  ratio: Spread
  outcome: Outcome
}

/** End-to-end differences below this are not resolved on a virtual machine. */
export const resolution = 0.08
const minimumPairs = 3
const toleratedDissent = 0.2

class Samples {
  constructor(private readonly all: readonly Sample[]) {}

  of(suite: string, configuration: string, server: string): Sample[] {
    return this.all.filter(
      (s) => s.suite === suite && s.configuration === configuration && s.server === server,
    )
  }

  cpu(suite: string, configuration: string, server: string, jsThread = false): Timed[] {
    return this.of(suite, configuration, server).flatMap(({ disturbed, round, result }) => {
      if (disturbed || isIdle(result)) return []
      return [{ round, value: jsThread ? (result.cpuUs.main ?? NaN) : result.cpuUs.clean }]
    })
  }
}

function isLoadResult(result: Sample['result']): result is LoadResult {
  return !isIdle(result)
}

export function summarize(suites: readonly Suite[], journal: Journal): Table[] {
  const samples = new Samples(journal.samples)
  return suites.flatMap((suite) =>
    suite.configurations.map((configuration): Table => {
      const of = (server: string) => samples.of(suite.id, configuration.id, server)
      const cpu = (server: string) => samples.cpu(suite.id, configuration.id, server)
      const reference = cpu(configuration.reference)
      const measured = configuration.servers.filter((server) => of(server).length > 0)
      const first = measured.flatMap(of)[0]?.result
      return {
        suite: suite.id,
        configuration: configuration.id,
        title: configuration.title,
        reference: configuration.reference,
        unit: first !== undefined && isLoadResult(first) ? first.unit : 'connection',
        noise: spreadOf(selfRatios(reference)),
        rows: configuration.fresh
          ? []
          : measured.map((server) => rowOf(server, of(server), cpu(server), reference)),
        idleRows: configuration.fresh
          ? measured.map((server) => idleRowOf(server, of(server)))
          : [],
      }
    }),
  )
}

function rowOf(server: string, samples: Sample[], cpu: Timed[], reference: Timed[]): Row {
  const results = samples
    .filter((sample) => !sample.disturbed)
    .map((sample) => sample.result)
    .filter(isLoadResult)
  const middle = (pick: (result: LoadResult) => number | null) =>
    median(results.map((result) => pick(result) ?? NaN))
  return {
    server,
    cpuUs: spreadOf(cpu.map((sample) => sample.value)),
    cpuOverallUs: middle((r) => r.cpuUs.overall),
    cpuMainUs: middle((r) => r.cpuUs.main),
    coreBusyUs: middle((r) => r.cpuUs.coreBusy),
    ratio: spreadOf(pairedRatios(cpu, reference)),
    perSecond: middle((r) => r.perSecond.clean),
    p50Us: middle((r) => r.latencyUs.p50),
    p99Us: middle((r) => r.latencyUs.p99),
    cleanShare: middle((r) => r.windows.clean / r.windows.total),
    disturbed: samples.filter((sample) => sample.disturbed).length,
  }
}

function idleRowOf(server: string, samples: Sample[]): IdleRow {
  const results = samples.map((sample) => sample.result).filter(isIdle)
  const middle = (pick: (result: IdleResult) => number) => median(results.map(pick))
  return {
    server,
    runs: results.length,
    startKiB: middle((r) => r.rssKiB.start),
    bytesConnected: middle((r) => r.bytesPerConnection.connected),
    bytesEchoed: middle((r) => r.bytesPerConnection.echoed),
    connectSeconds: middle((r) => r.connectSeconds),
    idleCpuMsPerSecond: middle((r) => r.idleCpuMsPerSecond),
  }
}

export function judge(targets: readonly Target[], journal: Journal): Verdict[] {
  const samples = new Samples(journal.samples)
  return targets.map((target) => {
    const { suite, configuration } = target
    const ratios = pairedRatios(
      samples.cpu(suite, configuration, target.server, target.jsThread),
      samples.cpu(suite, configuration, target.against),
    )
    return { target, ratio: spreadOf(ratios), outcome: outcomeOf(ratios, target.atMost) }
  })
}

/**
 * A verdict needs enough rounds, a median that is further from the target than the method
 * resolves, and rounds that agree: at most one in five on the other side of the target.
 */
export function outcomeOf(ratios: readonly number[], atMost: number): Outcome {
  if (ratios.length === 0) return 'not measured'
  if (ratios.length < minimumPairs) return 'too few rounds'
  const center = median(ratios)
  const met = center <= atMost
  const dissent = ratios.filter((ratio) => ratio <= atMost !== met).length
  if (Math.abs(center / atMost - 1) < resolution) return 'too close to call'
  if (dissent > ratios.length * toleratedDissent) return 'too close to call'
  return met ? 'met' : 'missed'
}
