// Other Node versions (and Bun) from npm packages without install scripts, cached in .nodes/.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'

const cache = path.resolve(import.meta.dirname, '../../.nodes')
const { platform, arch } = process

/** Runs the npm that this process was started by, or the one on the PATH. */
export function npm(args, options) {
  const cli = process.env.npm_execpath
  const [command, before] = cli?.endsWith('.js') ? [process.execPath, [cli]] : ['npm', []]
  return spawnSync(command, [...before, ...args], { encoding: 'utf8', ...options })
}

function fromNpm(dir, name, version, program) {
  const file = path.join(cache, dir, 'node_modules', name, 'bin', program)
  if (existsSync(file)) return file
  const prefix = path.join(cache, dir)
  mkdirSync(prefix, { recursive: true })
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund']
  const result = npm(['install', ...flags, '--prefix', prefix, `${name}@${version}`], {
    cwd: prefix,
  })
  if (!existsSync(file)) throw new Error(`${name}@${version} cannot be installed: ${result.stderr}`)
  return file
}

/** Path of the node of a major version; its headers are beside it in ../include/node. */
export const node = (major) => fromNpm(String(major), `node-${platform}-${arch}`, major, 'node')

export const bun = () =>
  fromNpm('bun', `@oven/bun-${platform}-${arch === 'arm64' ? 'aarch64' : arch}`, 'latest', 'bun')
