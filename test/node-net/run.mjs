// Runs Node's own tests of net with net mapped to netvc/net:
//
//   npm run test:node-net -- PATH [--group net|http|https|http2|tls]
//     [--node PATH-TO-NODE | --major N] [--filter TEXT] [--jobs N] [--update]
//
// PATH is the test/ folder of a Node source checkout, which is not part of this package. A file is
// counted when it touches no internals and the runtime's own net passes it; of the other groups also
// only when it makes a socket or a server. What fails must be in expected.json, with its reason;
// anything else is an error.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import cliProgress from 'cli-progress'
import Table from 'cli-table3'
import { node } from '../package/nodes.mjs'

const limitMs = 60_000
const marker = 'netvc-used'
const here = import.meta.dirname
const expectedFile = path.join(here, 'expected.json')
const preload = pathToFileURL(path.join(here, 'preload.mjs')).href

/** Why a file is left out: it looks behind the surface of net, or needs other processes or names. */
const leftOut = [
  [
    'internals',
    /expose[-_]internals|internal\/|internalBinding|process\.binding|_handle\b|\bhandle: \{/,
  ],
  ['forks', /\bcluster\b|\.fork\(/],
  ['dns mocks', /common\/(dns|internet)/],
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    group: { type: 'string', default: 'net' },
    node: { type: 'string' },
    major: { type: 'string' },
    filter: { type: 'string', default: '' },
    jobs: { type: 'string', default: '2' },
    update: { type: 'boolean', default: false },
  },
})
const [folder] = positionals
if (folder === undefined) {
  console.error(
    'usage: run.mjs PATH-OF-NODE/test [--group NAME] [--node PATH] [--major N] [--filter TEXT] [--jobs N] [--update]',
  )
  process.exit(2)
}
const tests = path.resolve(folder)
const program = values.node ?? (values.major ? node(Number(values.major)) : process.execPath)

/** Exit code, and what it has printed. A file has its own folder for what it writes. */
function run(args, env = () => ({})) {
  const scratch = mkdtempSync(path.join(tmpdir(), 'netvc-node-net-'))
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: tests,
      env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_DIR: scratch, ...env(scratch) },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: limitMs,
      killSignal: 'SIGKILL',
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes) => (output = (output + bytes).slice(-20_000)))
    }
    child.on('close', (code, signal) => {
      const used = existsSync(path.join(scratch, marker))
      rmSync(scratch, { recursive: true, force: true })
      resolve({
        ok: code === 0,
        used,
        how: signal === null ? `exit ${code}` : 'time limit',
        output,
      })
    })
  })
}

const { output: version } = await run(['-p', 'process.version'])
const major = /^v(\d+)/.exec(version)[1]
const all = JSON.parse(readFileSync(expectedFile, 'utf8'))
// A version that has no list of its own has that of the one before. An entry is the name of a reason.
const lists = all.files[values.group] ?? {}
const listed = Object.keys(lists).filter((key) => Number(key) <= Number(major))
const expected = lists[Math.max(...listed.map(Number))] ?? {}
const reasonOf = (name) => all.reasons[expected[name]] ?? expected[name]

const files = readdirSync(path.join(tests, 'parallel'))
  .filter((name) => name.startsWith(`test-${values.group}-`) && name.endsWith('.js'))
  .filter((name) => name.includes(values.filter))
  .sort()
const results = new Map()

async function judge(name) {
  const file = path.join(tests, 'parallel', name)
  const source = readFileSync(file, 'utf8')
  const rule = leftOut.find(([, pattern]) => pattern.test(source))
  if (rule) return { class: `left out: ${rule[0]}` }
  const flags = (/^\/\/ Flags: (.*)$/m.exec(source)?.[1] ?? '').split(' ').filter(Boolean)
  const own = await run([...flags, file])
  if (!own.ok) return { class: "not counted: the runtime's own net fails" }
  if (/\b(?:1\.\.0 # )?[Ss]kip/.test(own.output)) return { class: 'not counted: skipped' }
  const ours = await run([...flags, '--import', preload, file], (scratch) => ({
    NETVC_NODE_NET: file,
    NETVC_NODE_GROUP: values.group,
    NETVC_NODE_USED: path.join(scratch, marker),
  }))
  if (ours.ok && !ours.used && values.group !== 'net') return { class: 'not counted: no sockets' }
  return ours.ok ? { class: 'passed' } : { class: 'failed', ...ours }
}

const bar = new cliProgress.SingleBar({
  format: `node ${version.trim()} [{bar}] {value}/{total} {file}`,
  noTTYOutput: true,
  notTTYSchedule: 5000,
})
bar.start(files.length, 0, { file: '' })
const queue = [...files]
async function worker() {
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    const result = await judge(name)
    results.set(name, result)
    if (result.class === 'failed' && !expected[name]) console.error(`\nfails: ${name}`)
    bar.increment({ file: name })
  }
}
await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, worker))
bar.stop()

const counts = new Map()
for (const r of results.values()) counts.set(r.class, (counts.get(r.class) ?? 0) + 1)
const passed = counts.get('passed') ?? 0
const failed = [...results].filter(([, r]) => r.class === 'failed').sort()
const table = new Table({ head: ['', 'files'], colAligns: ['left', 'right'], style: { head: [] } })
for (const row of [...counts].sort()) table.push(row)
const share = passed + failed.length === 0 ? 0 : (100 * passed) / (passed + failed.length)
table.push([`of those counted: passed`, `${share.toFixed(1)} %`])
console.log(table.toString())

let unexpected = 0
for (const [name, { how, output }] of failed) {
  const reason = reasonOf(name)
  if (reason === undefined) unexpected++
  console.log(`\n${reason === undefined ? 'UNEXPECTED' : 'expected'}: ${name} (${how})`)
  console.log(reason ?? output.trim().split('\n').slice(-25).join('\n'))
}
for (const name of Object.keys(expected)) {
  if (results.get(name)?.class !== 'passed') continue
  unexpected++
  console.log(`\nUNEXPECTED: ${name} passes; take it out of expected.json`)
}
if (values.update) {
  const list = failed.map(([name]) => [name, expected[name] ?? 'to be explained'])
  const merged = { ...(values.filter ? expected : {}), ...Object.fromEntries(list) }
  const files = { ...all.files, [values.group]: { ...lists, [major]: merged } }
  writeFileSync(expectedFile, `${JSON.stringify({ ...all, files }, null, 2)}\n`)
}
process.exitCode = unexpected === 0 ? 0 : 1
