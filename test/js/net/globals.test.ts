import { describe, expect, test } from 'vitest'
import { endsWell, runChild } from '../support/child.js'

// Programs replace globals while sockets live: fake timers of tests, patched ticks and promises.
// Connections, streams and netvc/net do not notice, then and after it.

const prepare = `
import { writeSync } from 'node:fs'
import process from 'node:process'
import timers from 'node:timers'
import { syncBuiltinESMExports } from 'node:module'
const real = {
  setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate,
  queueMicrotask, performance, Date, Promise,
}
const nextTick = process.nextTick
const none = () => ({ ref() { return this }, unref() { return this }, refresh() { return this } })
const set = (name, value) =>
  Object.defineProperty(globalThis, name, { configurable: true, writable: true, value })
const fakeTimers = (...names) => () => names.forEach((name) => set(name, none))
const stopped = real.performance.now()
const fakes = {
  setImmediate: fakeTimers('setImmediate', 'clearImmediate'),
  setTimeout: fakeTimers('setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'),
  performance: () => set('performance', Object.freeze({ now: () => stopped })),
  'performance.now': () => Object.defineProperty(real.performance, 'now', { configurable: true, writable: true, value: () => stopped }),
  Date: () => set('Date', class extends real.Date { static now() { return 0 } }),
  nextTick: () => { process.nextTick = () => {} },
  queueMicrotask: () => set('queueMicrotask', () => {}),
  Promise: () => set('Promise', class Patched { constructor() { throw new Error('a late Promise') } }),
  'node:timers': () => {
    for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout']) timers[name] = none
    syncBuiltinESMExports()
  },
}
const restore = () => {
  for (const name in real) set(name, real[name])
  delete real.performance.now
  process.nextTick = nextTick
  Object.assign(timers, { setTimeout: real.setTimeout, setInterval: real.setInterval, setImmediate: real.setImmediate, clearTimeout: real.clearTimeout })
  syncBuiltinESMExports()
}
const wait = (ms) => new real.Promise((resolve) => real.setTimeout(resolve, ms))
/** Bounded, so that what stands still is seen. */
const until = async (test) => { for (let i = 0; i < 2500 && !test(); i++) await wait(2); return test() }
`

const ofNet = (module: string) => `
import net from '${module}'
const server = net.createServer((s) => { s.on('data', (d) => s.write(d)); s.on('error', () => {}) }).listen(0, '127.0.0.1')
await until(() => server.listening)
const life = async (fake) => {
  const seen = {}
  const { port } = server.address()
  const before = net.connect(port, '127.0.0.1')
  await until(() => before.readyState === 'open')
  fake()
  const during = net.connect(port, '127.0.0.1')
  for (const [name, socket] of Object.entries({ before, during })) {
    socket.on('error', () => {})
    socket.on('data', () => (seen[name + ' echo'] = true))
    socket.on('close', () => (seen[name + ' close'] = true))
    socket.setTimeout(20, () => (seen[name + ' timeout'] = true))
    socket.write('hello')
  }
  await until(() => Object.keys(seen).length === 4)
  before.destroy()
  during.destroy()
  await until(() => Object.keys(seen).length === 6)
  restore()
  return seen
}`

// Here a patched tick reaches the streams of Node themselves.
const ofCore = `
const life = async (fake) => {
  const seen = {}
  const reactor = new Reactor({ threads })
  const listener = await reactor.listen('tcp://127.0.0.1:0', echo)
  const old = await reactor.connect(listener.addresses[0])
  fake()
  const [a, b] = reactor.pair()
  echo(b)
  const fresh = await reactor.connect(listener.addresses[0])
  for (const [name, vc] of Object.entries({ old, fresh, a })) {
    sink(vc, (event) => (seen[name + ' ' + VCEvent[event]] = true))
    vc.setInactivityTimeout(20)
    seen[name + ' sent'] = await vc.write('hello', { completion: true }).then(() => true)
    await vc.drained()
  }
  await until(() => Object.keys(seen).length === 9)
  const stream = (await reactor.connect(listener.addresses[0])).stream()
  stream.on('data', () => (seen.stream = true))
  stream.on('close', () => (seen.closed = true))
  stream.write('hello')
  await until(() => seen.stream)
  stream.destroy()
  await until(() => seen.closed)
  const shut = await reactor.drain({ deadline: 20 })
  seen.drained = typeof shut.closed
  restore()
  return seen
}`

const names = [
  ...['setImmediate', 'setTimeout', 'performance', 'performance.now', 'Date', 'nextTick'],
  ...['queueMicrotask', 'Promise', 'node:timers'],
]
const finish = (chosen: string[]) => `
const seen = [await life(() => { for (const name of ${JSON.stringify(chosen)}) fakes[name]() }), await life(() => {})]
writeSync(1, JSON.stringify(seen))
process.exit()`

describe.each([...names.map((name) => [name, [name]] as const), ['all of them', names] as const])(
  'replaced: %s',
  (_, chosen) => {
    test('netvc/net, during and after', async () => {
      const run = async (module: string) => {
        const child = await runChild(prepare + ofNet(module) + finish([...chosen]), { bare: true })
        expect(child).toMatchObject(endsWell)
        return JSON.parse(child.stdout) as object[]
      }
      const seen = await run('netvc/net')
      expect(seen).toMatchObject(await run('node:net')) // which itself connects with a tick
      expect(Object.keys(seen[0])).toHaveLength(6)
    })

    test.each([0, 1])('connections and streams, %i net threads', async (threads) => {
      const child = await runChild(prepare + ofCore + finish([...chosen]), { threads })
      expect(child).toMatchObject(endsWell)
      const [during, after] = JSON.parse(child.stdout) as object[]
      expect(during).toEqual(after)
      expect(Object.keys(during)).toHaveLength(12)
    })
  },
)
