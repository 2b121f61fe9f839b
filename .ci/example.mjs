// npm run example <name> [arguments]: builds what is stale, then runs examples/<name>.ts.
import { existsSync, readdirSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { buildNative, buildTools, buildTypeScript } from './build.mjs'
import { need } from './needs.mjs'
import { fail } from './tools.mjs'

const [name, ...args] = process.argv.slice(2)
if (!name || !existsSync(`examples/${name}.ts`)) {
  const names = readdirSync('examples').flatMap((file) => /^(.+)\.ts$/.exec(file)?.[1] ?? [])
  fail(`usage: npm run example <name> [arguments]; names: ${names.join(', ')}`)
}
need()
await buildNative()
await buildTypeScript()
await buildTools()
const child = spawn(process.execPath, [`build/tools/examples/${name}.js`, ...args], {
  stdio: 'inherit',
})
// Ctrl-C reaches the example as well.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => child.kill())
child.on('exit', (code, signal) => process.exit(signal ? 1 : code))
