import { describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'

// As test/js/lifecycle/worker-alone.test.ts, with the net threads that all workers share: they end
// with the last worker that has them, and the addon stays mapped (AD-7).

const prepare = `
import { Worker } from 'node:worker_threads'
import { readFileSync, readdirSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
const mapped = () => readFileSync('/proc/self/maps', 'utf8').match(/netvc[^/]*[.]node$/m) !== null
const tasks = () => readdirSync('/proc/self/task').length
const body = \`
  Promise.all([import('node:worker_threads'), import('netvc')]).then(async ([node, netvc]) => {
    const { parentPort, threadId } = node
    const { Reactor, MIOBuffer, VCEvent } = netvc
    const reactor = Reactor.shared({ threads: 2 })
    const echo = (vc) => {
      const buffer = new MIOBuffer(), reader = buffer.allocReader()
      vc.doIoRead((event) => {
        if (reader.readAvail > 0) vc.write(reader.read())
        if (event !== VCEvent.READ_READY) vc.doIoClose()
      }, Infinity, buffer)
    }
    reactor.register(echo, { onExit: 'park' })
    reactor.onParked((id) => Reactor.address(id)?.assign(threadId))
    const listener = await reactor.listen('tcp://127.0.0.1:0', echo, { distribute: 'round-robin' })
    parentPort.postMessage(Number(listener.addresses[0].split(':').at(-1)))
    END
  })\`
const start = (end) => new Worker(body.replace('END', end), { eval: true })
const exit = (worker) => new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject))
const port = (worker) => new Promise((resolve) => worker.once('message', resolve))
/** Sends and is answered, on and on. */
const ping = (to) => new Promise((resolve, reject) => {
  const socket = connect(to, '127.0.0.1').on('error', reject)
  let pings = 0, waiting
  socket.on('data', () => { pings++; waiting?.() })
  resolve({
    socket,
    more: () => new Promise((done) => { waiting = done; socket.write('ping') }),
    get pings() { return pings },
    ended: new Promise((done) => socket.on('end', done).on('close', done)),
  })
})
const codes = []
process.on('exit', () => writeSync(1, JSON.stringify({ codes, mapped: mapped() })))
if (mapped()) throw new Error('netvc is in the main thread')
`

describe('only workers have the shared net threads', () => {
  const run = async (script: string) => {
    const child = await runChild(prepare + script, { bare: true })
    expect(child).toMatchObject({ code: 0, signal: null, stderr: '' })
    return JSON.parse(child.stdout) as { codes: number[]; mapped: boolean }
  }

  test('one after another, each ending in its own way (AD-7, INV-27)', async () => {
    const { codes, mapped } = await run(`
      let most
      for (let i = 0; i < 3; i++) {
        for (const end of ['process.exit(4)', 'reactor.unregister(); reactor.unref()', 'reactor.close()']) {
          const worker = start("parentPort.once('message', () => { " + end + ' })')
          const over = exit(worker)
          const peer = await ping(await port(worker))
          await peer.more()
          worker.postMessage('end')
          codes.push(await over)
          await peer.ended
          most ??= tasks()
          if (tasks() > most) throw new Error('net threads are left: ' + tasks())
        }
        const worker = start('')
        const peer = await ping(await port(worker))
        await peer.more()
        codes.push(await worker.terminate())
        await peer.ended
      }`)
    expect(codes).toEqual([4, 0, 0, 1, 4, 0, 0, 1, 4, 0, 0, 1])
    expect(mapped).toBe(true)
  })

  test('one is always there: its connections, and what it inherits, go on (AD-7, INV-27)', async () => {
    const { codes } = await run(`
      let old = start('')
      const first = await ping(await port(old))
      await first.more()
      for (let i = 0; i < 20; i++) {
        const next = start('')
        const peer = await ping(await port(next))
        await peer.more()
        codes.push(await old.terminate())
        for (let n = 0; n < 3; n++) await Promise.all([first.more(), peer.more()])
        peer.socket.destroy()
        old = next
      }
      if (first.pings !== 61) throw new Error('pings: ' + first.pings)
      process.exit(0)`)
    expect(codes).toEqual(Array.from({ length: 20 }, () => 1))
  })

  test('terminated while it attaches, 20 times (AD-7, INV-27)', async () => {
    const { codes } = await run(`
      for (let i = 0; i < 20; i++) {
        const worker = start('')
        const over = exit(worker)
        await new Promise((resolve) => worker.once('online', resolve))
        for (let turns = 0; turns < i * 20; turns++) await new Promise((resolve) => setImmediate(resolve))
        worker.terminate()
        codes.push(await over)
      }`)
    expect(codes).toEqual(Array.from({ length: 20 }, () => 1))
  })

  test('the process exits in the midst of their traffic (AD-7)', async () => {
    const { codes, mapped } = await run(`
      const workers = [start(''), start(''), start('')]
      const peers = await Promise.all(workers.map(async (worker) => ping(await port(worker))))
      for (let i = 0; i < 10; i++) await Promise.all(peers.map((peer) => peer.more()))
      for (const peer of peers) { peer.socket.on('data', () => peer.socket.write('more')); peer.socket.write('more') }
      await new Promise((resolve) => peers[0].socket.once('data', resolve))
      process.exit(0)`)
    expect([codes, mapped]).toEqual([[], true])
  })
})
