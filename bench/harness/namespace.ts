// One TCP congestion control for every server of a run, chosen by the route.
//
// A C++ program can set it per socket, Node cannot. A route can, for everybody: the
// harness restarts itself in a network namespace of its own (it needs root for that),
// whose loopback has the wanted algorithm and carries nobody else's traffic.

import { execFileSync, spawn } from 'node:child_process'

const marker = 'NETVC_BENCH_CONGESTION'

/** The algorithm this process was restarted with, if it was. */
export function congestionInside(): string | undefined {
  return process.env[marker]
}

/** Prepares loopback; call first thing inside the namespace. */
export function prepareLoopback(algorithm: string): void {
  const ip = (...args: string[]) =>
    execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  ip('link', 'set', 'lo', 'up')
  for (const destination of ['127.0.0.0/8', '127.0.0.1/32']) {
    ip(
      ...['route', 'replace', 'local', destination, 'dev', 'lo', 'table', 'local'],
      ...['proto', 'kernel', 'scope', 'host', 'src', '127.0.0.1', 'congctl', algorithm],
    )
  }
}

/** Runs this program again inside a new namespace and ends with its exit code. */
export function restartInside(algorithm: string): void {
  const child = spawn('unshare', ['--net', process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [marker]: algorithm },
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => child.kill(signal))
  }
  child.once('error', (error) => {
    console.error(`--congestion needs the program unshare: ${error.message}`)
    process.exit(1)
  })
  child.once('exit', (code) => process.exit(code ?? 1))
}
