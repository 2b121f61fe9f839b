import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { patience } from './patience.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

// A process that ends by process.exit() or an uncaught error leaves V8's heap to the system, which
// LeakSanitizer takes for leaks. Leaks of ours are looked for in the test process itself.
const noLeakCheck = process.env.NETVC_SANITIZE
  ? { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:detect_leaks=0` }
  : {}

export interface ChildResult {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** What every script of a child begins with. */
const prelude = `
import { Reactor, MIOBuffer, VCEvent, tunnel } from 'netvc'
const threads = Number(process.env.THREADS)
const sink = (vc, handler = () => {}) => {
  const buffer = new MIOBuffer(), reader = buffer.allocReader()
  return vc.doIoRead((event, vio) => { reader.consume(reader.readAvail); handler(event, vio) }, Infinity, buffer)
}
const echo = (vc) => {
  const buffer = new MIOBuffer(), reader = buffer.allocReader()
  vc.doIoRead((event) => { event === VCEvent.READ_READY ? vc.write(reader.read()) : vc.doIoClose() }, Infinity, buffer)
}
`

interface ChildOptions {
  threads?: number
  flags?: string[]
  env?: Record<string, string>
  /** Without the prelude, so without loading netvc. */
  bare?: boolean
  /** Milliseconds until it is killed, whatever it does. */
  limit?: number
  /** Descriptors from 3 on, as child_process.spawn takes them. */
  descriptors?: StdioOptions & unknown[]
}

/** Starts a module script, with netvc imported and `threads` set, in a process of its own. */
export function startChild(
  script: string,
  options: ChildOptions = {},
): { child: ChildProcess; result: Promise<ChildResult> } {
  const { threads = 0, flags = [], env = {}, bare = false, descriptors = [] } = options
  const { limit = patience } = options
  const source = bare ? script : prelude + script
  const args = [...flags, '--input-type=module', '--eval', source]
  // From the root of the package its own name can be imported.
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...noLeakCheck, NODE_OPTIONS: '', THREADS: String(threads), ...env },
    stdio: ['ignore', 'pipe', 'pipe', ...descriptors] as StdioOptions,
    timeout: limit,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const result = new Promise<ChildResult>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
  return { child, result }
}

/** The same, to its end. */
export const runChild = (script: string, options: ChildOptions = {}) =>
  startChild(script, options).result

/** What every child that ends well answers; the rest of it helps to see why one did not. */
export const endsWell = { code: 0, signal: null, stderr: '' }
