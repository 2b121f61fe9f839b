// npm run test:package: what a user gets. Packs the package with a prebuild for this machine,
// installs the tarball where there is neither a compiler nor python, and uses it on every
// supported Node. With --release it takes prebuilds/ as `npm run prebuild:all` left it.
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { buildTypeScript } from '../../.ci/build.mjs'
import { need } from '../../.ci/needs.mjs'
import { fail, headersEnv, root, say } from '../../.ci/tools.mjs'
import { bun, node, npm } from './nodes.mjs'

const majors = [20, 22, 24, 26]
const release = process.argv.includes('--release')
const temp = mkdtempSync(path.join(os.tmpdir(), 'netvc-package-'))
process.on('exit', () => rmSync(temp, { recursive: true, force: true }))
let passed = 0
let failed = 0

function check(title, problem) {
  if (problem) failed++
  else passed++
  say(`${problem ? 'FAILED' : 'ok    '} ${title}${problem ? `\n${problem}` : ''}`)
}

/** Runs a command that has to succeed for the rest to make sense. */
function must(result, what) {
  if (result.status !== 0) fail(`${what}: ${result.error ?? result.stdout + result.stderr}`)
  return result.stdout
}

/** npm pack without scripts: prepack would rebuild dist/ under the hands of other jobs. */
function pack(dir, destination) {
  mkdirSync(destination, { recursive: true })
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', destination]
  const [{ filename, files }] = JSON.parse(must(npm(args, { cwd: dir }), 'npm pack'))
  return { tarball: path.join(destination, filename), files: files.map((file) => file.path) }
}

/** The tarball to test: sources as packed, a prebuild made from them alone, packed again. */
function makeTarball() {
  const { tarball } = pack(root, path.join(temp, 'sources'))
  if (release) return pack(root, path.join(temp, 'packed'))
  must(spawnSync('tar', ['-xzf', tarball, '-C', temp], { encoding: 'utf8' }), 'tar')
  const stage = path.join(temp, 'package')
  symlinkSync(path.join(root, 'node_modules'), path.join(stage, 'node_modules'))
  say('building a prebuild from the packed sources')
  const env = { ...process.env, ...headersEnv() }
  must(npm(['run', 'prebuild:host'], { cwd: stage, env }), 'prebuildify')
  return pack(stage, path.join(temp, 'packed'))
}

function checkFiles(files) {
  const wanted = ['LICENSE', 'README.md', 'binding.gyp', 'dist/index.js', 'dist/index.d.ts']
  wanted.push('native/sources.json', 'native/binding/addon.cc', 'lib/index.ts')
  const missing = wanted.filter((file) => !files.includes(file))
  const prebuilt = files.some((file) =>
    file.startsWith(`prebuilds/${process.platform}-${process.arch}/`),
  )
  const unwanted = files.filter((file) => /^(test|bench|docs|build|\.)|tsbuildinfo/.test(file))
  const problems = [
    ...missing.map((file) => `missing ${file}`),
    ...unwanted.map((file) => `has ${file}`),
  ]
  if (!prebuilt) problems.push('missing a prebuild for this machine')
  check(`the tarball holds what it should, ${files.length} files`, problems.join('\n'))
}

need('compiler', 'make', 'python')
await buildTypeScript()
const { tarball, files } = makeTarball()
checkFiles(files)

// A PATH with node, and sh and env for npm. No compiler, no make, no python.
const tools = path.join(temp, 'bin')
mkdirSync(tools)
for (const name of ['sh', 'env'])
  symlinkSync(must(spawnSync('which', [name], { encoding: 'utf8' })).trim(), path.join(tools, name))
symlinkSync(process.execPath, path.join(tools, 'node'))
const { CXX, CC, ...inherited } = process.env
const env = { ...inherited, PATH: tools }

const app = path.join(temp, 'app')
mkdirSync(app)
writeFileSync(path.join(app, 'package.json'), '{ "private": true }')
const installed = npm(['install', '--no-audit', '--no-fund', tarball], { cwd: app, env })
must(installed, 'npm install of the tarball')
check(
  'installs without compiler, python and install scripts',
  /gyp|ERR/.test(installed.stderr) && installed.stderr,
)
for (const file of ['echo.mjs', 'esm.mjs', 'cjs.cjs', 'net.mjs'])
  cpSync(path.join(import.meta.dirname, file), path.join(app, file))

/** Runs a file of the app; the answer is undefined or what went wrong. */
function problemOf(runtime, args, expected) {
  const result = spawnSync(runtime, args, { cwd: app, env, encoding: 'utf8', timeout: 30_000 })
  if (result.status === 0 && result.stdout.includes(expected)) return undefined
  const end = result.error?.code ?? result.signal ?? `exit code ${result.status}`
  return `${end}\n${result.stdout}${result.stderr}`
}

for (const major of majors) {
  const runtime = node(major)
  for (const file of ['esm.mjs', 'cjs.cjs']) {
    for (const threads of [0, 2]) {
      const title = `Node ${major}, ${file}, threads ${threads}`
      check(title, problemOf(runtime, [file, JSON.stringify({ threads })], 'echoed'))
    }
  }
  check(`Node ${major}, netvc/net`, problemOf(runtime, ['net.mjs'], 'as node:net'))
}
check('Bun, esm.mjs, threads 1', problemOf(bun(), ['esm.mjs', '{"threads":1}'], 'echoed'))

const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
check(
  'netvc --version',
  problemOf(process.execPath, ['node_modules/netvc/dist/cli/main.js', '--version'], version),
)

rmSync(path.join(app, 'node_modules/netvc/prebuilds'), { recursive: true })
const code = `import('netvc').catch((e) => console.log(e.code, e.message))`
check(
  'without a binary the error says what to do',
  problemOf(process.execPath, ['-e', code], 'build:native'),
)

console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
