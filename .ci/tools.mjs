// What the drivers in this folder share: running commands, and knowing what is stale. No
// dependencies, since some drivers run before anything is built.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)

const started = Date.now()

/** One progress line with the time since the start of the driver. */
export function say(text) {
  console.log(`[netvc ${((Date.now() - started) / 1000).toFixed(1).padStart(5)}s] ${text}`)
}

/** Ends the driver with one line and no stack. */
export function fail(text) {
  console.error(`netvc: ${text}`)
  process.exit(1)
}

export const isMain = (url) =>
  process.argv[1] !== undefined && url === pathToFileURL(process.argv[1]).href

/**
 * Runs a command and resolves to true; if it fails, the driver ends, or with soft it is false.
 * keep: filter for the lines to print; quiet: print nothing unless the command fails;
 * whole: print everything, but in one piece, for commands that run beside others.
 */
export function run(
  command,
  args,
  { env = {}, cwd = root, keep, quiet = false, whole = false, soft = false } = {},
) {
  return new Promise((resolve) => {
    const hold = quiet || whole
    const piped = hold || keep !== undefined
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', piped ? 'pipe' : 'inherit', hold ? 'pipe' : 'inherit'],
    })
    let held = ''
    let rest = ''
    const print = (text) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()
      for (const line of lines) if (keep(line)) console.log(line)
    }
    child.stdout?.setEncoding('utf8').on('data', (text) => (hold ? (held += text) : print(text)))
    child.stderr?.setEncoding('utf8').on('data', (text) => (held += text))
    child.on('error', (error) => fail(error.message))
    child.on('close', (code, signal) => {
      if (whole && code === 0) console.log(held)
      if (code === 0) return resolve(true)
      if (held) console.error(held)
      if (soft) return resolve(false)
      fail(`${[path.basename(command), ...args].join(' ')} ended with ${signal ?? code}`)
    })
  })
}

/**
 * Sanitizers of older compilers cannot start where the kernel randomizes addresses by more than
 * 28 bits; so their programs get no randomization where that is allowed.
 */
export function fixedAddresses(variant, command, args) {
  const wanted = variant === 'asan' || variant === 'tsan'
  const possible = wanted && spawnSync('setarch', ['-R', 'true']).status === 0
  return possible ? ['setarch', ['-R', command, ...args]] : [command, args]
}

/** What sanitized programs run with. */
export const sanitizerEnv = {
  ASAN_OPTIONS: 'detect_leaks=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  LSAN_OPTIONS: `suppressions=${root}.ci/lsan.supp:print_suppressions=0`,
  TSAN_OPTIONS: 'halt_on_error=1:exitcode=66',
}

/** Node is not built with the sanitizer, so its runtime has to be in the process first. */
export function asanAddonEnv() {
  if (process.platform !== 'linux') fail('JS tests with asan run on Linux only')
  const query = ['-print-file-name=libasan.so']
  const runtime = execFileSync('g++', query, { encoding: 'utf8' }).trim()
  if (!existsSync(runtime)) fail('missing libasan; on Debian: apt-get install g++')
  return {
    LD_PRELOAD: runtime,
    NETVC_BINARY: `${root}build/asan/netvc.node`,
    NETVC_SANITIZE: 'asan',
  }
}

/** Path of a program installed by npm in this checkout. */
export const bin = (name) => path.join(root, 'node_modules', '.bin', name)

/**
 * Environment for node-gyp: where the headers of this Node are, if they were installed with it.
 * Without them node-gyp downloads them, which needs a network.
 */
export function headersEnv() {
  if (process.env.npm_config_nodedir) return {}
  const prefix = path.resolve(process.execPath, '../..')
  const header = path.join(prefix, 'include/node/node_version.h')
  if (!existsSync(header)) return {}
  const text = readFileSync(header, 'utf8')
  const number = (part) => new RegExp(`#define NODE_${part}_VERSION (\\d+)`).exec(text)?.[1]
  const version = ['MAJOR', 'MINOR', 'PATCH'].map(number).join('.')
  return version === process.versions.node ? { npm_config_nodedir: prefix } : {}
}

function newest(entry) {
  if (!existsSync(entry)) return 0
  const info = statSync(entry)
  if (!info.isDirectory()) return info.mtimeMs
  return Math.max(info.mtimeMs, ...readdirSync(entry).map((name) => newest(path.join(entry, name))))
}

/**
 * Runs work() unless output exists and nothing in inputs changed since the last success. The mark
 * carries the time when the work began, so that edits made meanwhile count as changes.
 */
export async function unlessFresh(name, inputs, output, work) {
  const mark = path.join(root, 'build', `.fresh-${name}`)
  if (
    existsSync(output) &&
    existsSync(mark) &&
    Math.max(...inputs.map(newest)) < statSync(mark).mtimeMs
  )
    return
  const began = new Date()
  await work()
  mkdirSync(path.dirname(mark), { recursive: true })
  writeFileSync(mark, '')
  utimesSync(mark, began, began)
}
