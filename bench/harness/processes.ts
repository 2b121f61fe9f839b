// Starts servers pinned to a CPU, and makes sure that none outlives the harness.

import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

const startLimitMs = 15_000
const stopLimitMs = 2_000

export interface RunningServer {
  address: string
  /** The process to measure; a starter such as haproxy.ts announces its child's. */
  pid: number
  stop(): Promise<void>
}

/** The server cannot run on this machine, which is no fault of ours or its. */
export class Skipped extends Error {}

const started = new Set<number>()

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended already.
  }
}

/** Ends everything that was started and is still there; for the way out. */
export function killAll(): void {
  for (const pid of started) kill(pid, 'SIGKILL')
}

export function track(child: ChildProcess): void {
  const pid = child.pid
  if (pid === undefined) return
  started.add(pid)
  child.once('exit', () => started.delete(pid))
}

/** Runs `command` on `cpu` and waits for its line "listening tcp://... pid N". */
export async function startServer(command: string[], cpu: number): Promise<RunningServer> {
  const [program, ...args] = cpu < 0 ? command : ['taskset', '-c', String(cpu), ...command]
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  track(child)

  let complaints = ''
  child.stderr.on(
    'data',
    (text: Buffer) => (complaints = (complaints + text.toString()).slice(-2000)),
  )
  const { address, pid } = await announcement(child, () => complaints)
  started.add(pid)
  return {
    address,
    pid,
    async stop() {
      kill(child.pid!, 'SIGTERM')
      for (let waited = 0; child.exitCode === null && child.signalCode === null; waited += 10) {
        if (waited >= stopLimitMs) kill(child.pid!, 'SIGKILL')
        await sleep(10)
      }
      if (pid !== child.pid) kill(pid, 'SIGKILL')
      started.delete(pid)
    },
  }
}

function announcement(
  child: ChildProcess,
  complaints: () => string,
): Promise<{ address: string; pid: number }> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail(new Error('did not start in time')), startLimitMs)
    const fail = (error: Error) => {
      clearTimeout(timer)
      if (child.pid !== undefined) kill(child.pid, 'SIGKILL')
      reject(error)
    }
    child.once('error', fail)
    child.once('exit', (code, signal) => {
      const lines = complaints().split('\n')
      const line = lines.find((text) => /error/i.test(text)) ?? lines[0] ?? ''
      fail(new Error(`ended at once (${signal ?? code}): ${line.trim()}`))
    })
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const listening = /^listening (tcp:\S+) pid (\d+)/.exec(line)
      const skipped = /^skipped (.*)/.exec(line)
      if (skipped) fail(new Skipped(skipped[1]))
      if (!listening) return
      clearTimeout(timer)
      resolve({ address: listening[1], pid: Number(listening[2]) })
    })
  })
}
