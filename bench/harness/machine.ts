// Facts about the machine that a reader needs to judge the numbers.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { arch, cpus, loadavg, release, totalmem } from 'node:os'

export interface Machine {
  cpu: string
  cpus: number
  memoryGiB: number
  kernel: string
  node: string
  congestionControl: string
  loadAverage: number
  peers: Record<string, string>
}

function versionOf(program: string, args: string[]): string {
  try {
    // nginx prints its version to stderr.
    const output = execFileSync('sh', ['-c', '"$0" "$@" 2>&1', program, ...args])
    return /\d+\.\d+\S*/.exec(output.toString())?.[0] ?? 'unknown'
  } catch {
    return 'not installed'
  }
}

function setting(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return 'unknown'
  }
}

export function describeMachine(congestionOfRoute: string | undefined): Machine {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cpus: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${release()} ${arch()}`,
    node: process.version,
    congestionControl:
      congestionOfRoute ??
      setting('/proc/sys/net/ipv4/tcp_congestion_control') + ' (system default)',
    loadAverage: loadavg()[0],
    peers: {
      haproxy: versionOf('haproxy', ['-v']),
      nginx: versionOf('nginx', ['-v']),
    },
  }
}
