import { describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'

// Node unloads an addon with the last worker that has it. netvc's net threads, and the destructors
// of its thread-local objects, need its code longer: it stays mapped (AD-7).

const prepare = `
import { Worker } from 'node:worker_threads'
import { readFileSync, writeSync } from 'node:fs'
const threads = Number(process.env.THREADS)
const mapped = () => readFileSync('/proc/self/maps', 'utf8').match(/netvc[^/]*[.]node$/m) !== null
const body = \`
  Promise.all([import('node:worker_threads'), import('netvc')]).then(async ([node, netvc]) => {
    const { parentPort, workerData: threads } = node
    const { Reactor, MIOBuffer, VCEvent } = netvc
    const reactor = new Reactor({ threads })
    const send = (vc) => {
      const buffer = new MIOBuffer(), reader = buffer.allocReader()
      const more = () => buffer.write(Buffer.alloc(20_000))
      more()
      vc.doIoWrite((event) => event === VCEvent.WRITE_READY && more(), Infinity, reader)
    }
    const receive = (vc, handler) => {
      const buffer = new MIOBuffer(), reader = buffer.allocReader()
      vc.doIoRead(() => { reader.consume(reader.readAvail); handler() }, Infinity, buffer)
    }
    const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => { send(vc); receive(vc, () => {}) })
    const vc = await reactor.connect(listener.addresses[0])
    send(vc)
    await new Promise((resolve) => receive(vc, resolve))
    parentPort.postMessage('busy')
    END
  })\`
const start = (end) => new Worker(body.replace('END', end), { eval: true, workerData: threads })
const exit = (worker) => new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject))
const busy = (worker) => new Promise((resolve) => worker.once('message', resolve))
const codes = []
process.on('exit', () => writeSync(1, JSON.stringify({ codes, mapped: mapped() })))
if (mapped()) throw new Error('netvc is in the main thread')
`

describe('only workers have netvc', () => {
  onBothEngines((threads) => {
    const run = async (script: string) => {
      const child = await runChild(prepare + script, { threads, bare: true })
      expect(child).toMatchObject({ code: 0, signal: null, stderr: '' })
      return JSON.parse(child.stdout) as { codes: number[]; mapped: boolean }
    }

    test('one after another, each closing before its end (AD-7)', async () => {
      const { codes, mapped } = await run(`
        for (let i = 0; i < 5; i++) codes.push(await exit(start('reactor.close()')))`)
      expect(codes).toEqual([0, 0, 0, 0, 0])
      expect(mapped).toBe(true)
    })

    test('one after another, ending with everything open (AD-7, INV-27)', async () => {
      const { codes, mapped } = await run(`
        for (let i = 0; i < 5; i++) {
          codes.push(await exit(start('reactor.unref()')))
          codes.push(await exit(start('process.exit(4)')))
        }`)
      expect(codes).toEqual(Array.from({ length: 5 }, () => [0, 4]).flat())
      expect(mapped).toBe(true)
    })

    test('terminated in the midst of traffic, 30 times (AD-7, INV-27)', async () => {
      const { codes, mapped } = await run(`
        for (let i = 0; i < 30; i++) {
          const worker = start('')
          await busy(worker)
          codes.push(await worker.terminate())
        }`)
      expect(codes).toEqual(Array.from({ length: 30 }, () => 1))
      expect(mapped).toBe(true)
    })

    test('terminated while it loads netvc (AD-7, INV-27)', async () => {
      const { codes } = await run(`
        for (let i = 0; i < 10; i++) {
          const worker = start('')
          const end = exit(worker)
          await new Promise((resolve) => worker.once('online', resolve))
          for (let turns = 0; turns < i * 40; turns++) await new Promise((resolve) => setImmediate(resolve))
          worker.terminate()
          codes.push(await end)
        }`)
      expect(codes).toEqual(Array.from({ length: 10 }, () => 1))
    })

    test('the process exits while they are in the midst of traffic (AD-7, INV-27)', async () => {
      const { codes, mapped } = await run(`
        await Promise.all([start(''), start(''), start('')].map(busy))
        process.exit(0)`)
      expect(codes).toEqual([])
      expect(mapped).toBe(true)
    })

    test('the main thread loads it when the last worker has gone (AD-7)', async () => {
      const { codes } = await run(`
        codes.push(await exit(start('process.exit(4)')))
        const { Reactor } = await import('netvc')
        const reactor = new Reactor({ threads })
        let accepted
        const server = new Promise((resolve) => (accepted = resolve))
        const listener = await reactor.listen('tcp://127.0.0.1:0', accepted)
        const client = await reactor.connect(listener.addresses[0])
        await server
        await reactor.close()
        codes.push(Number(client.closed))`)
      expect(codes).toEqual([4, 1])
    })
  })
})
