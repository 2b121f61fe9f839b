// What all peer programs share: the line that tells the harness where they listen,
// a free port for servers that cannot choose one, and the life of a foreign server.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type * as Net from 'node:net'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'

/** Tells the harness the address, and the process whose CPU and memory count. */
export function announce(port: number | string, pid = process.pid): void {
  console.log(`listening tcp://127.0.0.1:${port} pid ${pid}`)
}

/** Ends the program with one line when it cannot run here; the harness goes on without it. */
export function skip(reason: string): never {
  console.log(`skipped ${reason}`)
  process.exit(0)
}

export interface PeerOptions {
  /** Where a proxy connects to. */
  to: { host: string; port: number }
  /** Parse messages of this many bytes and answer each with its own write; 0: echo chunks. */
  each: number
  /** Hold the answers of one chunk back and send them together. */
  cork: boolean
  /** Look at the bytes where they lie instead of copying them out (netvc). */
  borrow: boolean
  /** Native net threads (netvc); 0 runs everything on the JavaScript thread. */
  threads: number
  /** Which way to break the stream (faulty-echo). */
  fault: string
  /** The module that makes the server: node:net, or netvc/net, which replaces it. */
  net: Promise<typeof Net>
}

export function peerOptions(): PeerOptions {
  const { values } = parseArgs({
    options: {
      to: { type: 'string', default: '127.0.0.1:0' },
      each: { type: 'string', default: '0' },
      cork: { type: 'boolean', default: false },
      borrow: { type: 'boolean', default: false },
      threads: { type: 'string', default: '0' },
      fault: { type: 'string', default: '' },
      net: { type: 'string', default: 'node:net' },
    },
  })
  const [host = '', port = ''] = values.to.split(':')
  return {
    to: { host, port: Number(port) },
    each: Number(values.each),
    cork: values.cork,
    borrow: values.borrow,
    threads: Number(values.threads),
    fault: values.fault,
    net: import(values.net) as Promise<typeof Net>,
  }
}

/**
 * Cuts a byte stream into messages of one size. Returns the function to feed: it calls
 * `deliver` once per whole message and keeps the beginning of an unfinished one.
 */
export function messageSplitter(
  size: number,
  deliver: (message: Buffer) => void,
): (chunk: Buffer) => void {
  let rest: Buffer | undefined
  return (chunk) => {
    const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk])
    let start = 0
    for (; start + size <= bytes.length; start += size) {
      deliver(bytes.subarray(start, start + size))
    }
    // A copy: the chunk's memory may not be ours after this call.
    rest = start < bytes.length ? Buffer.from(bytes.subarray(start)) : undefined
  }
}

/**
 * A port nobody listens on, below the range the kernel takes local ports from, so that
 * none of the thousands of outgoing connections of a run can occupy it meanwhile.
 */
export async function freePort(): Promise<number> {
  const lowestEphemeral = Number(
    readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0],
  )
  const first = 10_000
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = first + Math.floor(Math.random() * (lowestEphemeral - first))
    const probe = createServer()
    try {
      probe.listen(port, '127.0.0.1')
      await once(probe, 'listening')
      return port
    } catch {
      continue // taken
    } finally {
      probe.close()
    }
  }
  throw new Error('no free port found')
}

export interface ForeignServer {
  name: string
  /** Looked for in PATH and the sbin folders. */
  program: string
  config: (port: number, folder: string) => string
  /** The command line that runs it in the foreground, as one process. */
  args: (configFile: string, folder: string) => string[]
}

/** Runs a server that is not ours from a temporary folder until SIGTERM, or skips it. */
export async function runForeignServer(server: ForeignServer): Promise<void> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  const program = folders.map((f) => join(f, server.program)).find((file) => existsSync(file))
  if (program === undefined) skip(`${server.name}: not installed`)

  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'netvc-bench-'))
  const configFile = join(folder, 'config')
  writeFileSync(configFile, server.config(port, folder))
  const child = spawn(program, server.args(configFile, folder), {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  child.on('exit', (code) => {
    rmSync(folder, { recursive: true, force: true })
    process.exit(code ?? 0)
  })
  process.on('SIGTERM', () => child.kill('SIGKILL'))
  process.on('SIGINT', () => child.kill('SIGKILL'))

  await untilAccepting(port)
  announce(port, child.pid)
}

async function untilAccepting(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = connect(port, '127.0.0.1')
    const accepted = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (accepted) return
    await sleep(50)
  }
  throw new Error('the server never accepted a connection')
}
