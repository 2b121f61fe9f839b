import { describe, expect, test } from 'vitest'
import { endsWell, runChild } from '../support/child.js'
import { patience } from '../support/patience.js'

// A listener that throws once: 'uncaughtException' is told in the async context of its connection
// (AsyncLocalStorage, domains, node:test), and what comes after it is not lost (AD-3).

/** A client and a server that echoes; `plan` makes one listener throw. Prints what was seen. */
const program = (module: string, plan: string) => `
import net from '${module}'
import { writeSync } from 'node:fs'
import { AsyncLocalStorage } from 'node:async_hooks'
const als = new AsyncLocalStorage()
const seen = { errors: [], echo: '', closed: false }
process.on('uncaughtException', (error) => seen.errors.push(error.message + ' of ' + als.getStore()))
let left = 1
const boom = (what) => { if (left-- > 0) throw new Error(what) }
const big = 'x'.repeat(200_000)
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => {})
  socket.pipe(socket)
})
als.run('server', () => server.listen(0, '127.0.0.1'))
await new Promise((resolve) => server.once('listening', resolve))
const { port } = server.address()
const to = { port, host: '127.0.0.1' }
const start = (options = {}) => als.run('client', () => {
  const socket = net.connect({ ...to, ...options })
  socket.on('data', (data) => { seen.echo += data })
  socket.on('error', () => {})
  socket.on('close', () => { seen.closed = true; server.close() })
  return socket
})
const guard = setTimeout(() => { writeSync(1, JSON.stringify({ ...seen, hangs: true })); process.exit(5) }, ${String(patience / 2)})
process.on('exit', (code) => { if (code === 0) writeSync(1, JSON.stringify({ ...seen, echo: seen.echo.length })) })
server.on('close', () => clearTimeout(guard))
${plan}
`
const early = (event: string) => `
const socket = als.run('client', () => net.connect(to))
socket.on('data', (data) => { seen.echo += data })
socket.on('close', () => { seen.closed = true; server.close() })
socket.on('${event}', () => boom('${event}'))
socket.end(big)`

/** [what throws, what Node itself loses by it]. */
const plans: Record<string, [plan: string, nodeLoses?: 'the rest']> = {
  connect: [early('connect'), 'the rest'],
  ready: [early('ready'), 'the rest'],
  data: [early('data')],
  close: [early('close')],
  finish: [early('finish')],
  readable: [
    `const socket = als.run('client', () => net.connect(to))
    socket.on('readable', () => {
      for (let data; (data = socket.read()) !== null; ) seen.echo += data
      boom('readable')
    })
    socket.on('close', () => { seen.closed = true; server.close() })
    socket.end(big)`,
  ],
  'data that waited in a paused socket': [
    `const socket = start()
    socket.pause()
    socket.end('hello')
    als.run('client', () => setTimeout(() => {
      socket.prependListener('data', () => boom('data'))
      socket.resume()
    }, 50))`,
  ],
  'the callback of write()': [
    `const socket = start()
    als.run('write', () => socket.write(big.repeat(50), () => boom('write')))
    socket.end('x')`,
  ],
  'the callback of end()': [
    `const socket = start()
    socket.end(big, () => boom('end'))`,
  ],
  'the callback of onread': [
    `const buffer = Buffer.alloc(1000)
    const socket = start({ onread: { buffer, callback(n) { seen.echo += buffer.toString('latin1', 0, n); boom('onread') } } })
    socket.end(big)`,
  ],
  'the buffer function of onread': [
    `let first = true
    const socket = start({ onread: {
      buffer() { if (!first) boom('buffer'); first = false; return Buffer.alloc(1000) },
      callback(n, into) { seen.echo += into.toString('latin1', 0, n) },
    } })
    socket.end(big)`,
  ],
  timeout: [
    `const socket = start()
    als.run('client', () => socket.setTimeout(20))
    socket.once('timeout', () => { socket.end(big); boom('timeout') })`,
  ],
  lookup: [
    `const lookup = (host, options, told) => als.run('client', () => setImmediate(told, null, [{ address: '127.0.0.1', family: 4 }]))
    const socket = start({ host: 'a.name', lookup, autoSelectFamily: true })
    socket.end(big)
    socket.on('close', () => boom('after lookup'))`,
  ],
  'the error of a connect that fails': [
    `const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const gone = probe.address().port
      probe.close(() => als.run('client', () => {
        const failing = net.connect(gone, '127.0.0.1')
        failing.on('error', () => boom('error'))
        failing.on('close', () => start().end(big))
      }))
    })`,
  ],
  connection: [
    `server.prependListener('connection', () => boom('connection'))
    // That connection was not served; the next one is.
    const first = net.connect(to)
    first.on('error', () => {})
    first.on('connect', () => setTimeout(() => { first.destroy(); accepted?.destroy(); start().end(big) }, 50))
    let accepted
    server.prependListener('connection', (socket) => { accepted ??= socket })`,
  ],
}

describe.each(Object.keys(plans))('throws: %s', (name) => {
  const [plan, nodeLoses] = plans[name]
  const run = async (module: string) => {
    const child = await runChild(program(module, plan), { bare: true })
    expect(child).toMatchObject(endsWell)
    return JSON.parse(child.stdout) as { errors: string[]; echo: number; closed: boolean }
  }
  test('told in its context, and nothing later is lost', async () => {
    const seen = await run('netvc/net')
    expect(seen.errors).toHaveLength(1)
    expect(seen.closed).toBe(true)
    if (nodeLoses) {
      expect(seen).toMatchObject({ echo: 200_000, errors: [`${name} of client`] })
      return
    }
    expect(seen).toEqual(await run('node:net'))
  })
})

test('several connections of one batch: each error in its own context', async () => {
  const run = async (module: string) => {
    const child = await runChild(
      `import net from '${module}'
      import { AsyncLocalStorage } from 'node:async_hooks'
      import domain from 'node:domain'
      import { writeSync } from 'node:fs'
      const als = new AsyncLocalStorage(), log = []
      process.on('uncaughtException', (error) => log.push(error.message + ' of ' + als.getStore()))
      const server = net.createServer((socket) => socket.end('x')).listen(0, '127.0.0.1', () => {
        let open = 10
        for (let i = 0; i < 10; i++) als.run(i, () => {
          const d = domain.create()
          d.on('error', (error) => log.push('domain: ' + error.message))
          const dial = () => {
            const socket = net.connect(server.address().port, '127.0.0.1')
            socket.on('data', () => { throw new Error('data ' + i) })
            socket.on('close', () => { if (--open === 0) { server.close(); writeSync(1, log.sort().join()) } })
          }
          if (i % 2) d.run(dial)
          else dial()
        })
      })`,
      { bare: true },
    )
    expect(child).toMatchObject(endsWell)
    return child.stdout
  }
  const seen = await run('netvc/net')
  expect(seen).toBe(await run('node:net'))
  expect(seen).toContain('data 4 of 4')
  expect(seen).toContain('domain: data 5')
})

test('a stream of a connection, on both engines: what waits behind the exception comes', async () => {
  for (const threads of [0, 1]) {
    const child = await runChild(
      `import { AsyncLocalStorage } from 'node:async_hooks'
      import { writeSync } from 'node:fs'
      const als = new AsyncLocalStorage(), log = []
      process.on('uncaughtException', (error) => log.push(error.message + ' of ' + als.getStore()))
      const reactor = new Reactor({ threads })
      const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
        const stream = vc.stream({ allowHalfOpen: true })
        stream.pipe(stream)
      })
      const ends = [await reactor.connect(listener.addresses[0]), ...reactor.pair()]
      const passive = ends.pop().stream({ allowHalfOpen: true })
      passive.pipe(passive)
      for (const [i, vc] of ends.entries()) await als.run(i, async () => {
        const stream = vc.stream()
        let bytes = 0, first = true
        stream.on('data', (data) => {
          bytes += data.length
          if (first) { first = false; throw new Error('data') }
        })
        stream.end('x'.repeat(300_000))
        await new Promise((resolve) => stream.on('close', resolve))
        log.push(String(bytes))
      })
      await reactor.close()
      writeSync(1, log.join())`,
      { threads },
    )
    expect(child).toMatchObject({
      ...endsWell,
      stdout: 'data of 0,300000,data of 1,300000',
    })
  }
})
