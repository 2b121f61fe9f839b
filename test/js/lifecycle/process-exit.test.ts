import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'

// A process may end at any moment of a reactor's life, and ends cleanly (INV-27, AD-7).

/** How a script ends where it calls stop(). */
const ways = {
  'after close()': { code: 0, stop: 'reactor?.close()' },
  'after unref()': { code: 0, stop: 'reactor?.unref()' },
  'by process.exit(0)': { code: 0, stop: 'process.exit(0)' },
  'by an uncaught error': { code: 1, stop: "throw new Error('stopped here')" },
}

const prepare = `
import { writeSync } from 'node:fs'
process.on('exit', (code) => writeSync(1, 'exit ' + code))
const arrived = () => writeSync(1, 'arrived ')
let reactor
const anywhere = 'tcp://127.0.0.1:0'
const turn = () => new Promise((resolve) => setImmediate(resolve))
const pair = async () => {
  let accepted
  const server = new Promise((resolve) => (accepted = resolve))
  const listener = await reactor.listen(anywhere, accepted)
  return [await reactor.connect(listener.addresses[0]), await server]
}
/** Sends without end, and reads what comes. */
const flood = (vc, onRead) => {
  const buffer = new MIOBuffer(), reader = buffer.allocReader()
  const more = () => buffer.write(Buffer.alloc(10_000))
  more()
  vc.doIoWrite((event) => event === VCEvent.WRITE_READY && more(), Infinity, reader)
  sink(vc, onRead)
}
`

const steps: Record<string, string> = {
  'after import': 'arrived(); stop()',
  'with a reactor': 'reactor = new Reactor({ threads }); arrived(); stop()',
  'while listen() is pending': `
    reactor = new Reactor({ threads })
    reactor.listen(anywhere, () => {}).catch(() => {})
    arrived(); stop()`,
  listening: `
    reactor = new Reactor({ threads })
    await reactor.listen(anywhere, () => {})
    arrived(); stop()`,
  connecting: `
    reactor = new Reactor({ threads })
    let open = 0
    const attempts = Array.from({ length: 8 }, () => reactor.connect(process.env.DEAF))
    for (const attempt of attempts) attempt.then(() => open++, () => {})
    for (let i = 0; i < 20; i++) await turn()
    if (open < 8) arrived()
    stop()`,
  'connected, with nothing armed': `
    reactor = new Reactor({ threads })
    await pair()
    arrived(); stop()`,
  'connected, with both operations armed': `
    reactor = new Reactor({ threads })
    const [client, server] = await pair()
    await new Promise((resolve) => { flood(client); flood(server, resolve) })
    arrived(); stop()`,
  'inside an accept handler': `
    reactor = new Reactor({ threads })
    const listener = await reactor.listen(anywhere, () => { arrived(); stop() })
    reactor.connect(listener.addresses[0]).catch(() => {})`,
  'inside a read handler': `
    reactor = new Reactor({ threads })
    const [client, server] = await pair()
    flood(client)
    let first = true
    flood(server, () => { if (first) { first = false; arrived(); stop() } })`,
  'inside a write handler': `
    reactor = new Reactor({ threads })
    const [client] = await pair()
    const buffer = new MIOBuffer(), reader = buffer.allocReader()
    buffer.write('abc')
    client.doIoWrite(() => { arrived(); stop() }, 3, reader)`,
  'with a tunnel running': `
    reactor = new Reactor({ threads })
    const [source, left] = await pair()
    const [right, target] = await pair()
    tunnel(left, right)
    await new Promise((resolve) => { flood(source); flood(target, resolve) })
    arrived(); stop()`,
  'inside a handler at the end of a tunnel': `
    reactor = new Reactor({ threads })
    const [source, left] = await pair()
    const [right, target] = await pair()
    tunnel(left, right)
    flood(source)
    let first = true
    flood(target, () => { if (first) { first = false; arrived(); stop() } })`,
  'when a tunnel has just ended': `
    reactor = new Reactor({ threads })
    const [source, left] = await pair()
    const [right] = await pair()
    const joined = tunnel(left, right)
    flood(source)
    joined.close()
    await joined.closed
    arrived(); stop()`,
  'closing connections with unsent bytes': `
    reactor = new Reactor({ threads })
    const [client] = await pair()
    client.write(Buffer.alloc(20_000_000))
    client.doIoClose()
    arrived(); stop()`,
  'while close() is pending': `
    reactor = new Reactor({ threads })
    const [client, server] = await pair()
    await new Promise((resolve) => { flood(client); flood(server, resolve) })
    reactor.close()
    await turn()
    arrived(); stop()`,
  'with three reactors of both engines': `
    reactor = new Reactor({ threads })
    const others = [new Reactor(), new Reactor({ threads: 1 })]
    for (const other of others) (await other.listen(anywhere, () => {}), other.unref())
    const [client, server] = await pair()
    await new Promise((resolve) => { flood(client); flood(server, resolve) })
    arrived(); stop()`,
}

describe('a process ends', () => {
  // Listens and never accepts: after the first few, attempts to connect stay pending.
  let deaf: Worker
  let deafAddress: string
  beforeAll(async () => {
    const code = `
      const { parentPort } = require('node:worker_threads')
      const server = require('node:net').createServer().listen(0, '127.0.0.1', 1, () => {
        parentPort.postMessage(server.address().port)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      })`
    deaf = new Worker(code, { eval: true })
    const [port] = (await once(deaf, 'message')) as [number]
    deafAddress = `tcp://127.0.0.1:${String(port)}`
  })
  afterAll(() => deaf.terminate())

  onBothEngines((threads) => {
    const cases = Object.keys(steps).flatMap((step) => Object.keys(ways).map((way) => [step, way]))
    test.each(cases as [keyof typeof steps, keyof typeof ways][])(
      '%s, %s (INV-27)',
      async (step, way) => {
        const { code, stop } = ways[way]
        const script = `${prepare}\nconst stop = () => { ${stop} }\n${steps[step]}`
        const child = await runChild(script, { threads, env: { DEAF: deafAddress } })
        expect(child).toMatchObject({ code, signal: null, stdout: `arrived exit ${String(code)}` })
        if (code === 0) expect(child.stderr).toBe('')
        else expect(child.stderr).toContain('Error: stopped here')
      },
    )
  })
})

// exit() destroys static objects while net threads go on, so there must be none. Prebuilds have
// those of the C++ library in them, sanitized addons those of the sanitizer.
const own = new URL('../../../build/Release/netvc.node', import.meta.url)
test.runIf(process.platform === 'linux' && existsSync(own))(
  'nothing of the addon is destroyed by exit() (INV-27)',
  () => {
    const addon = readFileSync(own)
    expect(addon.includes('napi_register_module_v1\0')).toBe(true)
    expect(addon.includes('__cxa_atexit\0')).toBe(false)
  },
)
