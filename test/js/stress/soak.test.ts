import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'

// A short version of npm run soak, in a process of its own, as its handlers throw on purpose.
const program = fileURLToPath(new URL('../../../build/tools/test/js/soak/soak.js', import.meta.url))

onBothEngines((threads) => {
  test('two rounds of the soak: bytes, events, exceptions, timeouts, leaks', async () => {
    expect(existsSync(program), 'npm run build:tools').toBe(true)
    const seed = process.env.NETVC_SEED ?? String(Math.floor(Math.random() * 2 ** 31))
    const args = ['--seed', seed, '--rounds', '2', '--actors', '60', '--threads', String(threads)]
    console.log(`soak: NETVC_SEED=${seed}`)
    const script = `process.argv.push(...${JSON.stringify(args)}); await import(${JSON.stringify(program)})`
    const { code, stdout, stderr } = await runChild(script, { bare: true })
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' })
  })
})
