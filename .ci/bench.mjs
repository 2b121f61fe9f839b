// npm run bench: builds what is stale, then runs bench/run.ts. Arguments go to it.
import { buildNative, buildTools, buildTypeScript, configure, jobs } from './build.mjs'
import { need, program } from './needs.mjs'
import { run, say, unlessFresh } from './tools.mjs'

need('compiler', 'make', 'python', 'cmake', 'ninja')
await buildNative()
await buildTypeScript()
await buildTools()
await unlessFresh('bench', ['bench'], 'build/bench/netvc_loadgen', async () => {
  say('building the load generator and the C++ peers (cmake)')
  // A project of its own: it needs neither doctest nor the headers of Node.
  await configure(['-S', 'bench', '-B', 'build/bench'])
  await run(program('cmake'), ['--build', 'build/bench', '--parallel', jobs], { quiet: true })
})
const args = process.argv.slice(2)
// What each needs of the programs that use netvc itself.
const series = {
  write: ['netvc_write_submit', 'netvc_fan_out'],
  timers: ['netvc_timers'],
  pair: [],
}
if (args[0] in series) {
  const programs = series[args[0]]
  if (programs.length > 0) {
    say('building the C++ programs that use netvc itself (cmake, preset release)')
    await configure(['--preset', 'release', '-DNETVC_BUILD_ADDON=OFF'])
    const targets = ['--target', ...programs]
    await run(program('cmake'), ['--build', 'build/optimized', '--parallel', jobs, ...targets], {
      quiet: true,
    })
  }
  await run(process.execPath, [`build/tools/bench/${args[0]}.js`, ...args.slice(1)])
} else {
  await run(process.execPath, ['build/tools/bench/run.js', ...args])
}
