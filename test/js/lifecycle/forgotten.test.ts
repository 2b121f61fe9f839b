import { describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'
import { patience } from '../support/patience.js'

// What the user forgets, the garbage collector finds: a connection that can call no handler any
// more is closed, buffers and reactors are freed. What can call a handler stays (AD-6).

const prepare = `
import { readdirSync, readlinkSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
const report = { warnings: [] }
process.on('warning', (warning) => report.warnings.push(warning.code ?? warning.message))
process.on('exit', () => writeSync(1, JSON.stringify(report)))
/** Collects garbage until a condition holds. */
const collectUntil = async (test, what) => {
  const limit = Date.now() + ${String(patience / 2)}
  while (!test()) {
    if (Date.now() > limit) throw new Error('never happened: ' + what())
    gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
}
/** Sockets and pollers. */
const descriptors = () => readdirSync('/proc/self/fd').filter((fd) => {
  try { return /^socket:|event/.test(readlinkSync('/proc/self/fd/' + fd)) } catch { return false }
}).length
const reactor = new Reactor({ threads })
let onAccept = () => {}
const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => onAccept(vc))
const port = Number(listener.addresses[0].split(':').at(-1))
/** A peer of node's own, that knows whether it was ended. */
const peer = () => {
  const socket = connect(port, '127.0.0.1').resume()
  socket.ended = false
  return socket.on('end', () => (socket.ended = true))
}
/** The next connection. Nothing here holds it afterwards. */
const next = () => new Promise((resolve) => {
  onAccept = (vc) => {
    onAccept = () => {}
    resolve(vc)
  }
})
const answer = (socket) => new Promise((resolve) => socket.once('data', (bytes) => resolve(bytes.toString())))
/** Two that are forgotten one after the other are found: so would be all that was forgotten before. */
const forgetTwo = async () => {
  for (let i = 0; i < 2; i++) {
    onAccept = () => {}
    const socket = peer()
    await collectUntil(() => socket.ended, () => 'end of a forgotten connection')
  }
}
`

describe('the garbage collector', () => {
  onBothEngines((threads) => {
    const run = async <T>(script: string, debug = ''): Promise<T> => {
      const options = { threads, flags: ['--expose-gc'], env: { NETVC_DEBUG: debug } }
      const child = await runChild(prepare + script, options)
      // With a debug option the warnings are on stderr as well.
      expect(child).toMatchObject({
        code: 0,
        signal: null,
        ...(debug === '' ? { stderr: '' } : {}),
      })
      return JSON.parse(child.stdout) as T
    }

    test('a connection of a stream, and with it the stream (AD-6)', async () => {
      const { closed } = await run<{ closed: boolean }>(`
        const { PassThrough } = await import('node:stream')
        const stream = new PassThrough()
        const make = () => void reactor.fromStream(stream)
        make()
        await collectUntil(() => stream.destroyed, () => 'end of the stream')
        report.closed = stream.closed && stream.errored === null
        await reactor.close()`)
      expect(closed).toBe(true)
    })

    test('closes connections that were forgotten: their peers see the end (AD-6)', async () => {
      const { warnings, open } = await run<{ warnings: string[]; open: number }>(`
        const before = descriptors()
        const sockets = [peer(), peer(), peer()]
        await collectUntil(() => sockets.every(({ ended }) => ended), () => 'end of three connections')
        const left = () => [reactor.stats().open, descriptors() - before]
        await collectUntil(() => left().every((n) => n <= 0), () => 'nothing left: ' + left())
        report.open = reactor.stats().open
        await reactor.close()`)
      expect(open).toBe(0)
      expect(warnings).toEqual([])
    })

    test('closes one whose operation has ended, and says so with NETVC_DEBUG=leaks (AD-6)', async () => {
      const { warnings, got } = await run<{ warnings: string[]; got: number }>(
        `
        const socket = peer()
        socket.write('abc')
        onAccept = (vc) => vc.doIoRead((event, vio) => {
          if (event === VCEvent.READ_COMPLETE) report.got = vio.ndone
        }, 3, new MIOBuffer())
        await collectUntil(() => socket.ended, () => 'end of the connection')
        await reactor.close()`,
        'leaks',
      )
      expect(got).toBe(3)
      expect(warnings).toEqual(['NETVC_FORGOTTEN_VC'])
    })

    test('NETVC_DEBUG=leaks is silent about connections that were closed (AD-6)', async () => {
      const { warnings } = await run<{ warnings: string[] }>(
        `
        onAccept = (vc) => vc.doIoClose()
        const closed = [peer(), peer(), peer()]
        await collectUntil(() => closed.every(({ ended }) => ended), () => 'end of closed connections')
        await forgetTwo()
        await reactor.close()`,
        'leaks',
      )
      expect(warnings).toEqual(['NETVC_FORGOTTEN_VC', 'NETVC_FORGOTTEN_VC'])
    })

    test('a reader that was forgotten holds nothing up any more, one in use stays', async () => {
      const { used, got } = await run<{ used: number; got: number }>(`
        let vc
        onAccept = (accepted) => (vc = accepted)
        const socket = peer()
        await collectUntil(() => vc !== undefined, () => 'accepted')
        const buffer = new MIOBuffer({ blockSize: 4096, waterMark: 8192 })
        const make = () => void buffer.allocReader()
        const reader = buffer.allocReader()
        make()
        let got = 0
        vc.doIoRead(() => {
          got += reader.readAvail
          reader.consume(reader.readAvail)
        }, Infinity, buffer)
        const out = new MIOBuffer()
        vc.doIoWrite(() => {}, Infinity, out.allocReader())
        socket.write(Buffer.alloc(200_000))
        await collectUntil(() => got === 200_000, () => 'all bytes: ' + got)
        report.got = got
        report.used = out.readerCount
        await reactor.close()`)
      expect(got).toBe(200_000)
      expect(used).toBe(1)
    })

    test('leaves alone what can still call a handler, and tunnels (AD-6)', async () => {
      const { echoed, joined } = await run<{ echoed: string; joined: string }>(`
        // Not with next(): while a module waits, what it waited for before may still be held.
        onAccept = echo
        const echoing = peer()
        echoing.write('first')
        await answer(echoing)
        const [a, b] = await new Promise((resolve) => {
          let left
          onAccept = (vc) => {
            if (!left) return void (left = vc)
            tunnel(left, vc)
            left = onAccept = undefined
            resolve(both)
          }
          const both = [peer(), peer()]
        })
        await forgetTwo()
        echoing.write('hello')
        report.echoed = await answer(echoing)
        a.write('through')
        report.joined = await answer(b)
        await reactor.close()`)
      expect({ echoed, joined }).toEqual({ echoed: 'hello', joined: 'through' })
    })

    test('leaves alone a connection that its user still has (AD-6)', async () => {
      const { ended, got } = await run<{ ended: boolean; got: string }>(`
        const socket = peer()
        const kept = await next()
        await forgetTwo()
        report.ended = socket.ended || kept.closed
        kept.write('still here')
        report.got = await answer(socket)
        // It was held weakly. Armed, it can be told again.
        const seen = new Promise((resolve) => sink(kept, resolve))
        socket.write('x')
        await seen
        await reactor.close()`)
      expect(ended).toBe(false)
      expect(got).toBe('still here')
    })

    test('leaves alone one that was armed again after it was idle (AD-6)', async () => {
      const { got } = await run<{ got: string }>(`
        const socket = peer()
        await (async () => {
          const kept = await next()
          await forgetTwo()
          echo(kept)
        })()
        await forgetTwo()
        socket.write('again')
        report.got = await answer(socket)
        await reactor.close()`)
      expect(got).toBe('again')
    })

    test('frees buffers that were forgotten, and keeps those in use (AD-6)', async () => {
      const { made, got } = await run<{ made: number; got: number }>(`
        const { buffers: before, blocks } = reactor.stats()
        const buffers = () => reactor.stats().buffers - before
        const socket = peer()
        const seen = new Promise((resolve) => {
          onAccept = (vc) => vc.doIoRead((event, vio) => {
            if (vio.ndone === 10) resolve(vio.buffer.produced)
          }, Infinity, new MIOBuffer())
        })
        await collectUntil(() => buffers() === 1, () => 'buffer of the operation')
        ;(() => {
          for (let i = 0; i < 500; i++) new MIOBuffer().allocReader().buffer.write('some bytes')
          report.made = buffers() - 1
        })()
        await collectUntil(() => buffers() === 1, () => 'buffers freed but ' + buffers())
        await collectUntil(() => reactor.stats().blocks <= blocks, () => 'blocks freed')
        socket.write('0123456789')
        report.got = await seen
        await reactor.close()`)
      expect(made).toBe(500)
      expect(got).toBe(10)
    })

    test('closes reactors that were forgotten with nothing open (AD-6)', async () => {
      const { more } = await run<{ more: number }>(`
        const before = descriptors()
        ;(() => {
          for (let i = 0; i < 5; i++) new Reactor({ threads })
          report.more = descriptors() - before
        })()
        await collectUntil(() => descriptors() <= before, () => 'descriptors of the reactors closed')
        await reactor.close()`)
      expect(more).toBeGreaterThanOrEqual(5)
    })
  })
})
