import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const nodeRequire = createRequire(import.meta.url)
const packageRoot = fileURLToPath(new URL('..', import.meta.url))
// The kqueue back end does not exist yet.
const supported = ['linux-x64', 'linux-arm64']

interface Attempt {
  file: string
  /** What dlopen said, or that there is no such file. */
  problem: string
}

/**
 * Loads netvc.node. The order is the same in a checkout and in the published package:
 *
 * 1. NETVC_BINARY, if set, and then nothing else: sanitizer builds, bundles, unusual layouts.
 * 2. build/Release, then build/Debug. The published package has no build/ until somebody asks for
 *    a build from source, and in a checkout the local build is newer than any prebuild.
 * 3. The prebuild for this platform and, on Linux, for this C library.
 */
export function loadNative(): unknown {
  const override = process.env.NETVC_BINARY
  const candidates = override ? [path.resolve(override)] : defaultCandidates()
  const attempts: Attempt[] = []
  for (const file of candidates) {
    if (!existsSync(file)) {
      attempts.push({ file, problem: 'no such file' })
      continue
    }
    try {
      return instance(file)
    } catch (error) {
      attempts.push({ file, problem: error instanceof Error ? error.message : String(error) })
    }
  }
  throw loadError(attempts, override !== undefined && override !== '')
}

const claimed = Symbol.for('netvc.claimed')

/**
 * The addon, for this copy of the package alone: module registries of test runners and hot reload
 * evaluate a package several times in one thread. What the addon knows of a thread, above all whom
 * to call, is made anew each time it is opened, and only require() opens it once.
 */
function instance(file: string): unknown {
  const first = nodeRequire(file) as { [claimed]?: boolean }
  if (!first[claimed]) {
    Object.defineProperty(first, claimed, { value: true })
    return first
  }
  const another = { exports: {} }
  process.dlopen(another, file)
  return another.exports
}

function defaultCandidates(): string[] {
  const { platform, arch } = process
  const prebuild = platform === 'linux' ? `netvc.${isMusl() ? 'musl' : 'glibc'}.node` : 'netvc.node'
  return [
    path.join(packageRoot, 'build', 'Release', 'netvc.node'),
    path.join(packageRoot, 'build', 'Debug', 'netvc.node'),
    path.join(packageRoot, 'prebuilds', `${platform}-${arch}`, prebuild),
  ]
}

/**
 * Whether this process runs on musl. Asked of the process and not of the disk: a glibc system may
 * have musl installed too, and a prebuild for the wrong one can crash instead of failing to load.
 */
function isMusl(): boolean {
  const report = process.report as (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined
  if (!report) return existsSync('/etc/alpine-release')
  // With the network part the report would look up the names of all connected peers.
  const before = report.excludeNetwork ?? false
  report.excludeNetwork = true
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } }
  report.excludeNetwork = before
  return header !== undefined && header.glibcVersionRuntime === undefined
}

function loadError(attempts: Attempt[], overridden: boolean): Error {
  const host = `${process.platform}-${process.arch}`
  const advice: string[] = []
  if (overridden) {
    advice.push('NETVC_BINARY is set: only that file was tried. Unset it or correct it.')
  } else {
    if (!supported.includes(host)) {
      advice.push(`There is no prebuilt binary for ${host}, only for ${supported.join(', ')}.`)
    }
    if (attempts.some(({ problem }) => /GLIBC|ld-linux|musl|libc\.so/.test(problem))) {
      advice.push('A binary was built for another C library (glibc or musl) or a newer one.')
    }
    if (attempts.some(({ problem }) => /NODE_MODULE_VERSION|napi|node_api/.test(problem))) {
      advice.push(
        `A binary does not fit this runtime; Node >= 20.19 is needed, this is ${process.version}.`,
      )
    }
    advice.push(
      'Was node_modules copied from another system, or installed with --ignore-platform? Install again here.',
      'To build from source (needs python3, make and a C++20 compiler; on Debian: apt-get install python3 make g++):',
      '  npm explore netvc -- npm run build:native     in a project that depends on netvc',
      '  npm run build                                 in a checkout of netvc',
    )
  }
  const tried = attempts.map(({ file, problem }) => `  ${file}\n    ${problem}`)
  const message = [
    `netvc could not load its native addon on ${host}.`,
    'Tried:',
    ...tried,
    'What to do:',
    ...advice.map((line) => `  ${line}`),
  ]
  return Object.assign(new Error(message.join('\n')), { code: 'ERR_NETVC_LOAD' })
}
