// npm run bench: builds what is stale, then runs bench/run.ts. Arguments go to it.
import { existsSync } from 'node:fs'
import { buildNative, buildTools, buildTypeScript, jobs } from './build.mjs'
import { need, run, say, unlessFresh } from './tools.mjs'

need('compiler', 'make', 'python', 'cmake', 'ninja')
await buildNative()
await buildTypeScript()
await buildTools()
await unlessFresh('bench', ['bench'], 'build/bench/netvc_loadgen', async () => {
  say('building the load generator and the C++ peers (cmake)')
  // A project of its own: it needs neither doctest nor the headers of Node.
  const generator = existsSync('build/bench/CMakeCache.txt') ? [] : ['-G', 'Ninja']
  await run('cmake', ['-S', 'bench', '-B', 'build/bench', ...generator], { quiet: true })
  await run('cmake', ['--build', 'build/bench', '--parallel', jobs], { quiet: true })
})
await run(process.execPath, ['build/tools/bench/run.js', ...process.argv.slice(2)])
