import { describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'

// Errors that nobody takes end the process as they do in node, in the midst of a batch (AD-3, INV-27).

const prepare = `
import { writeSync } from 'node:fs'
const reactor = new Reactor({ threads })
const n = 10
let calls = 0
process.on('exit', () => writeSync(1, String(calls)))
/** Ten connections whose bytes arrive at once; body is the handler of all of them. */
const batch = async (body) => {
  const servers = []
  const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => servers.push(vc))
  const clients = []
  for (let i = 0; i < n; i++) clients.push(await reactor.connect(listener.addresses[0]))
  while (servers.length < n) await new Promise((resolve) => setImmediate(resolve))
  for (const vc of servers) {
    vc.doIoRead(() => { calls++; return body(vc) }, Infinity, new MIOBuffer())
  }
  setImmediate(() => {
    for (const vc of clients) vc.write('x')
    if (threads > 0) process.nextTick(() => {
      const limit = Date.now() + 5000
      for (const vc of servers) while (vc.inspect().bytesIn === 0) if (Date.now() > limit) process.abort()
    })
  })
}
`

describe('an error that nobody takes', () => {
  onBothEngines((threads) => {
    const run = (script: string, flags: string[] = []) =>
      runChild(prepare + script, { threads, flags })

    test('ends the process with code 1, and no other handler runs (AD-3)', async () => {
      const child = await run("batch(() => { if (calls === 4) throw new Error('stopped here') })")
      expect(child).toMatchObject({ code: 1, signal: null, stdout: '4' })
      expect(child.stderr).toContain('Error: stopped here')
    })

    test('is also what an uncaughtException handler throws: code 7 (AD-3)', async () => {
      const child = await run(`
        process.on('uncaughtException', (error) => { throw new Error(error.message + ', twice') })
        batch(() => {
          writeSync(1, String(calls)) // node emits no exit event then
          if (calls === 4) throw new Error('stopped')
        })`)
      expect(child).toMatchObject({ code: 7, signal: null, stdout: '1234' })
      expect(child.stderr).toContain('Error: stopped, twice')
    })

    test('process.exit() in the uncaughtException handler: the rest of the batch is not told (AD-3)', async () => {
      const child = await run(`
        process.on('uncaughtException', () => process.exit(9))
        batch(() => { if (calls === 4) throw new Error('stopped') })`)
      expect(child).toMatchObject({ code: 9, signal: null, stdout: '4', stderr: '' })
    })

    test('a rejected promise of an async handler ends the process (AD-3)', async () => {
      const child = await run(
        "batch(async () => { if (calls === 4) throw new Error('stopped here') })",
      )
      expect(child).toMatchObject({ code: 1, signal: null })
      expect(Number(child.stdout)).toBeGreaterThanOrEqual(4)
      expect(child.stderr).toContain('Error: stopped here')
    })

    test.each(['undefined', 'null', '42', "'text'"])(
      'throw %s is told as it is (AD-3)',
      async (value) => {
        const child = await run(`
        const told = []
        process.on('uncaughtException', (error) => {
          told.push(error)
          if (told.length === n) reactor.close()
        })
        process.on('exit', () => writeSync(2, String(told.every((error) => error === ${value}))))
        batch(() => { throw ${value} })`)
        expect(child).toMatchObject({ code: 0, signal: null, stdout: '10', stderr: 'true' })
      },
    )

    test('an uncaughtException handler may close the reactor in the midst of the batch (AD-3, INV-1)', async () => {
      const child = await run(`
        process.on('uncaughtException', () => reactor.close())
        batch(() => { if (calls === 4) throw new Error('stopped') })`)
      // No connection is told anything after it was closed.
      expect(child).toMatchObject({ code: 0, signal: null, stdout: '4', stderr: '' })
    })

    test('process.exit() in the midst of a batch: no handler runs after it (INV-27)', async () => {
      const child = await run('batch(() => { if (calls === 4) process.exit(6) })')
      expect(child).toMatchObject({ code: 6, signal: null, stdout: '4', stderr: '' })
    })
  })

  test('reenableRe(): an error of the inner handler is told, the outer one goes on (RE-5, AD-3)', async () => {
    const child = await run0(`
      const log = []
      process.on('uncaughtException', (error) => log.push(error.message))
      process.on('exit', () => writeSync(2, log.join(' ')))
      const out = new MIOBuffer(), reader = out.allocReader()
      batch((vc) => {
        if (calls !== 4) return
        log.push('outer')
        out.write('abc')
        vc.doIoWrite((event) => {
          log.push(VCEvent[event])
          throw new Error('inner')
        }, 3, reader).reenableRe()
        log.push('after')
        process.nextTick(() => log.push('tick'))
        setImmediate(() => setImmediate(() => reactor.close()))
      })`)
    expect(child).toMatchObject({ code: 0, signal: null, stdout: '10' })
    expect(child.stderr).toBe('outer WRITE_COMPLETE inner after tick')
  })
})

const run0 = (script: string) => runChild(prepare + script, { threads: 0 })
