// npm start: builds what is missing or stale, then runs the demo. Arguments go to the demo.
import { spawn } from 'node:child_process'
import { buildNative, buildTypeScript } from './build.mjs'
import { need } from './needs.mjs'
import { say } from './tools.mjs'

need()
await buildNative()
await buildTypeScript()
say('starting the demo')
const demo = spawn(process.execPath, ['dist/demo/main.js', ...process.argv.slice(2)], {
  stdio: 'inherit',
})
// Ctrl-C reaches the demo as well; it decides when to end.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => demo.kill(signal))
demo.on('exit', (code, signal) => process.exit(signal ? 1 : code))
