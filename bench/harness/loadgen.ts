// Runs the C++ load generator once and reads its line of JSON.

import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { track } from './processes.js'

/** What the windowed modes (echo, pipe, bulk, churn, http) report. Missing figures are null. */
export interface LoadResult {
  mode: string
  ok: true
  unit: 'message' | 'MB' | 'connection' | 'request'
  units: number
  seconds: number
  bytesVerified: number
  windows: { ms: number; total: number; clean: number; longestGapMs: number; preemptedMs: number }
  /** Server CPU in microseconds per unit. */
  cpuUs: {
    source: string
    threads: number
    /** Sum over the clean windows: the figure to quote. */
    clean: number
    median: number
    /** All windows, also those the host disturbed or a collection stopped. */
    overall: number
    /** Share of the thread that runs JavaScript. */
    main: number
    /** Everything the server's CPU did, softirqs beside the process included. */
    coreBusy: number | null
  }
  perSecond: { clean: number; overall: number }
  latencyUs: {
    p50: number | null
    p99: number | null
    p99All: number | null
    maxAll: number | null
  }
  serverRssKiB: { before: number; after: number }
}

export interface IdleResult {
  mode: 'idle'
  ok: true
  connections: number
  bytesVerified: number
  connectSeconds: number
  idleCpuMsPerSecond: number
  rssKiB: { start: number; connected: number; echoed: number }
  bytesPerConnection: { connected: number; echoed: number }
}

export type AnyResult = LoadResult | IdleResult

export function isIdle(result: AnyResult): result is IdleResult {
  return result.mode === 'idle'
}

/** A wrong byte, a reset, a short stream, or a server that is gone: the run has no result. */
export class LoadFailed extends Error {}

const runLimitMs = 150_000

export async function runLoad(program: string, args: string[]): Promise<AnyResult> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: runLimitMs })
  track(child)
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(String(signal ?? code)))
  })
  const [output, complaint, status] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    ended,
  ])
  if (status !== '0') {
    throw new LoadFailed(complaint.trim() || `the load generator ended with ${status}`)
  }
  return JSON.parse(output) as AnyResult
}
