// npm run build: the addon for this machine and dist/, each if it is stale.
import { doctestInclude, need, program } from './needs.mjs'
import { bin, fixedAddresses, headersEnv, isMain, root, run, say, unlessFresh } from './tools.mjs'

export const jobs = process.env.JOBS ?? '2'

export function buildNative() {
  const inputs = ['native', 'binding.gyp', 'package.json']
  return unlessFresh('native', inputs, 'build/Release/netvc.node', async () => {
    need('compiler', 'make', 'python')
    say('building the native addon (node-gyp)')
    // configure every time, as it reads native/sources.json; make then builds what changed.
    await run(bin('node-gyp'), ['configure', 'build', '--jobs', jobs, '--loglevel', 'error'], {
      env: headersEnv(),
      keep: (line) => /^\s+(CXX|SOLINK)/.test(line),
    })
  })
}

export function buildTypeScript() {
  const inputs = ['lib', 'tsconfig.json', 'package.json']
  return unlessFresh('typescript', inputs, 'dist/index.js', async () => {
    need()
    say('compiling lib to dist (tsc)')
    await run(bin('tsc'), ['-p', 'tsconfig.json'])
  })
}

/** bench, examples, the soak and the fuzzer -> build/tools; they use the types in dist/. */
export function buildTools() {
  const inputs = [
    ...['lib', 'bench', 'examples', 'test/js/soak', 'test/js/fuzz', 'test/js/support'],
    ...['tsconfig.json', 'tsconfig.tools.json'],
  ]
  return unlessFresh('tools', inputs, 'build/tools', async () => {
    say('compiling bench, examples, the soak and the fuzzer to build/tools (tsc)')
    await run(bin('tsc'), ['-p', 'tsconfig.tools.json'])
  })
}

/** cmake, told each time which ninja there is: a build folder remembers one that may have gone. */
export function configure(args, options = {}) {
  const ninja = `-DCMAKE_MAKE_PROGRAM=${program('ninja')}`
  return run(program('cmake'), [...args, '-G', 'Ninja', ninja], { ...options, quiet: true })
}

/** Configures a preset of CMakePresets.json and builds targets of it. */
export async function buildPreset(preset, targets) {
  need('compiler', 'cmake', 'ninja', 'doctest')
  say(`building ${targets.join(' ')} (cmake, preset ${preset})`)
  // Elsewhere a newer compiler with new warnings must not keep anybody from testing.
  const flags = [
    `-DNETVC_WERROR=${process.env.CI ? 'ON' : 'OFF'}`,
    `-DNETVC_DOCTEST=${doctestInclude()}`,
  ]
  await configure(['--preset', preset, ...flags], { env: headersEnv() })
  const only = targets.flatMap((name) => ['--target', name])
  const args = ['--build', `build/${preset}`, '--parallel', jobs, ...only]
  // The build runs the test programs to list their tests.
  await run(...fixedAddresses(preset, program('cmake'), args), {
    keep: (line) => !/^(\[\d+\/\d+\]|ninja: no work)/.test(line),
  })
}

if (isMain(import.meta.url)) {
  await buildNative()
  await buildTypeScript()
  say(`ready in ${root}`)
}
