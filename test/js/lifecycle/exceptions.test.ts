import { describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'

// Handlers that throw: nobody else's events are lost or out of order (AD-3).

const prepare = `
import { writeSync } from 'node:fs'
const report = {}
process.on('exit', () => writeSync(1, JSON.stringify(report)))
const turn = () => new Promise((resolve) => setImmediate(resolve))
const reactor = new Reactor({ threads })
/** n connections: [connecting side, accepted side]. */
const pairs = async (n) => {
  const waiting = []
  const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => waiting.shift()(vc))
  const made = []
  for (let i = 0; i < n; i++) {
    const server = new Promise((resolve) => waiting.push(resolve))
    made.push([await reactor.connect(listener.addresses[0]), await server])
  }
  return made
}
/** Bytes for all of them arrive at once; net threads have read them before this thread looks. */
const together = (list) => setImmediate(() => {
  const before = list.map(([, server]) => server.inspect().bytesIn)
  for (const [client] of list) client.write('x')
  process.nextTick(() => {
    if (threads === 0) return
    const limit = Date.now() + 5000
    for (const [i, [, server]] of list.entries()) {
      while (server.inspect().bytesIn === before[i]) if (Date.now() > limit) throw new Error('nothing came')
    }
  })
})
const read = (vc, handler) => {
  const buffer = new MIOBuffer(), reader = buffer.allocReader()
  return vc.doIoRead((event, vio) => handler(event, reader.read().toString(), vio), Infinity, buffer)
}
`

/** Of a run of names such as h1 (handler 1), those of one letter, as numbers. */
const of = (letter: string, log: readonly string[]) =>
  log.filter((entry) => entry.startsWith(letter)).map((entry) => Number(entry.slice(1)))
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i)
const ascending = (list: number[]) => [...list].sort((a, b) => a - b)

describe('handlers that throw', () => {
  onBothEngines((threads) => {
    const run = async <T>(script: string, flags: string[] = []): Promise<T> => {
      const child = await runChild(prepare + script, { threads, flags })
      expect(child).toMatchObject({ code: 0, signal: null, stderr: '' })
      return JSON.parse(child.stdout) as T
    }

    test.each([
      [10, 5],
      [60, 3],
      [60, 1],
      [60, 59],
    ])('%i handlers in one batch, one in %i throws (AD-3)', async (n, k) => {
      const { log, replies } = await run<{ log: string[]; replies: string[] }>(`
        const n = ${String(n)}, k = ${String(k)}
        const log = report.log = [], replies = report.replies = []
        process.on('uncaughtException', (error) => log.push(error.message))
        const list = await pairs(n)
        for (const [i, [client, server]] of list.entries()) {
          read(server, () => {
            log.push('h' + i)
            process.nextTick(() => log.push('t' + i))
            Promise.resolve().then(() => log.push('m' + i))
            server.write('r' + i)
            if (i % k === 0) throw new Error('e' + i)
          })
          read(client, (event, text) => {
            replies.push(text)
            if (replies.length === n) reactor.close()
          })
        }
        together(list)`)
      const calls = of('h', log)
      expect(ascending(calls)).toEqual(upTo(n))
      // Net threads are not in step with each other; the connections of one are.
      if (threads === 0) expect(calls).toEqual(upTo(n))
      expect(of('e', log)).toEqual(calls.filter((i) => i % k === 0))
      // Each error is told before the next handler runs.
      for (const i of of('e', log))
        expect(log[log.indexOf(`h${String(i)}`) + 1]).toBe(`e${String(i)}`)
      expect(of('t', log)).toEqual(calls)
      expect(of('m', log)).toEqual(calls)
      expect(ascending(of('r', replies))).toEqual(upTo(n))
      // It was a batch: handlers follow each other without ticks in between.
      if (k > 1) expect(log.join(' ')).toMatch(/h\d+ h\d+ /)
    })

    test('again and again on the same connections: no event is lost (AD-3, INV-2)', async () => {
      const { counts, errors } = await run<{ counts: number[]; errors: number }>(`
        const n = 20, rounds = 50
        const counts = report.counts = Array(n).fill(0)
        report.errors = 0
        process.on('uncaughtException', () => report.errors++)
        const list = await pairs(n)
        let seen = 0, next
        for (const [i, [, server]] of list.entries()) {
          read(server, () => {
            counts[i]++
            if (++seen === n) { seen = 0; setImmediate(next) }
            if ((i + counts[i]) % 2) throw new Error('half of them')
          })
        }
        for (let round = 0; round < rounds; round++) {
          const all = new Promise((resolve) => (next = resolve))
          together(list)
          await all
        }
        await reactor.close()`)
      expect(counts).toEqual(Array.from({ length: 20 }, () => 50))
      expect(errors).toBe(500)
    })

    test('a handler that closes its connection, and another one, and throws (AD-3, INV-1)', async () => {
      const { log } = await run<{ log: string[] }>(`
        const n = 10
        const log = report.log = []
        process.on('uncaughtException', (error) => log.push(error.message))
        const list = await pairs(n)
        for (const [i, [, server]] of list.entries()) {
          read(server, () => {
            log.push('h' + i)
            server.doIoClose()
            const other = list[(i + n / 2) % n][1]
            other.doIoClose()
            if (of() === n / 2) reactor.close()
            throw new Error('e' + i)
          })
        }
        const of = () => log.filter((entry) => entry.startsWith('h')).length
        together(list)`)
      // Of each two that close each other, the one that comes first is called.
      const calls = of('h', log)
      expect(ascending(calls.map((i) => i % 5))).toEqual(upTo(5))
      expect(of('e', log)).toEqual(calls)
    })

    test('errors in COMPLETE, EOS and WRITE_COMPLETE handlers (AD-3)', async () => {
      const { log, names } = await run<{ log: string[]; names: string[] }>(`
        const log = report.log = [], names = report.names = []
        process.on('uncaughtException', (error) => log.push(error.message))
        const [[client, server]] = await pairs(1)
        const buffer = new MIOBuffer(), reader = buffer.allocReader()
        const out = new MIOBuffer(), from = out.allocReader()
        out.write('abc')
        const seen = (event) => {
          names.push(VCEvent[event])
          // Shutting down earlier would take WRITE_COMPLETE back.
          if (names.length === 2) client.doIoShutdown('write')
          if (names.length === 3) reactor.close()
          throw new Error(VCEvent[event])
        }
        server.doIoRead((event) => {
          read(server, seen)
          seen(event)
        }, 3, buffer)
        client.doIoWrite(seen, 3, from)`)
      expect(ascending(names.map((name) => name.length))).toEqual([3, 13, 14])
      expect(log).toEqual(names)
    })

    test('a WRITE_READY handler that adds bytes and throws: they leave (AD-3, WR-5)', async () => {
      const { log, received } = await run<{ log: string[]; received: string }>(`
        const log = report.log = []
        process.on('uncaughtException', (error) => log.push(error.message))
        const [[client, server]] = await pairs(1)
        report.received = ''
        read(client, (event, text) => {
          report.received += text
          if (event === VCEvent.EOS) reactor.close()
        })
        const buffer = new MIOBuffer(), reader = buffer.allocReader()
        server.doIoWrite((event) => {
          log.push(VCEvent[event])
          if (event === VCEvent.WRITE_COMPLETE) return server.doIoClose()
          buffer.write('half')
          throw new Error('after it')
        }, 8, reader)`)
      expect(received).toBe('halfhalf')
      expect(log).toEqual([
        ...['WRITE_READY', 'after it', 'WRITE_READY', 'after it'],
        'WRITE_COMPLETE',
      ])
    })

    test('a reader that throws at a timeout: the writer is told all the same (AD-3, TO-8)', async () => {
      const { log } = await run<{ log: string[] }>(`
        const log = report.log = []
        process.on('uncaughtException', (error) => {
          log.push(error.message)
          if (log.length === 4) reactor.close()
        })
        const [[, server]] = await pairs(1)
        const tell = (who) => (event) => {
          if (event !== VCEvent.INACTIVITY_TIMEOUT) return
          log.push(who)
          throw new Error('error of ' + who)
        }
        server.doIoRead(tell('reader'), Infinity, new MIOBuffer())
        server.doIoWrite(tell('writer'), Infinity, new MIOBuffer().allocReader())
        server.setInactivityTimeout(20)`)
      expect(log.slice(0, 2)).toEqual(['reader', 'writer'])
      expect(log.slice(2).sort()).toEqual(['error of reader', 'error of writer'])
    })

    test('an accept handler that throws: the other connections are accepted (AD-3)', async () => {
      const { log, replies } = await run<{ log: string[]; replies: string[] }>(`
        const n = 20
        const log = report.log = [], replies = report.replies = []
        process.on('uncaughtException', (error) => log.push(error.message))
        const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
          const i = of()
          log.push('h' + i)
          process.nextTick(() => log.push('t' + i))
          vc.write('r' + i)
          if (i % 3 === 0) throw new Error('e' + i)
        })
        const of = () => log.filter((entry) => entry.startsWith('h')).length
        const clients = await Promise.all(Array.from({ length: n }, () => reactor.connect(listener.addresses[0])))
        for (const client of clients) {
          read(client, (event, text) => {
            replies.push(text)
            if (replies.length === n) reactor.close()
          })
        }`)
      expect(of('h', log)).toEqual(upTo(20))
      expect(of('t', log)).toEqual(upTo(20))
      expect(of('e', log)).toEqual(upTo(20).filter((i) => i % 3 === 0))
      expect(ascending(of('r', replies))).toEqual(upTo(20))
    })

    test('an async handler that rejects: unhandledRejection, and nothing else is touched (AD-3)', async () => {
      const { log, replies } = await run<{ log: string[]; replies: string[] }>(`
        const n = 20
        const log = report.log = [], replies = report.replies = []
        process.on('uncaughtException', (error) => log.push('uncaught ' + error.message))
        process.on('unhandledRejection', (error) => log.push(error.message))
        const list = await pairs(n)
        for (const [i, [client, server]] of list.entries()) {
          read(server, async () => {
            log.push('h' + i)
            server.write('r' + i)
            await null
            if (i % 3 === 0) throw new Error('e' + i)
          })
          read(client, (event, text) => {
            replies.push(text)
            if (replies.length === n) setImmediate(() => reactor.close())
          })
        }
        together(list)`)
      const calls = of('h', log)
      expect(ascending(calls)).toEqual(upTo(20))
      expect(of('e', log)).toEqual(calls.filter((i) => i % 3 === 0))
      expect(log.some((entry) => entry.startsWith('uncaught'))).toBe(false)
      expect(ascending(of('r', replies))).toEqual(upTo(20))
    })
  })
})
