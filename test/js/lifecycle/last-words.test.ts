import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'

// A thread writes and ends in the same turn. With node:net, the control, the kernel has the bytes
// when write() returns; here they wait for the end of the turn, which does not come.

/** How the main thread ends. s: what is written to. */
const ends = {
  'process.exit()': 'process.exit(0)',
  'an exception': "throw new Error('stopped here')",
  'process.exit() while an exception is told': `
    process.on('uncaughtException', () => { s.write('last words'); process.exit(1) })
    throw new Error('stopped here')`,
  'in an exit listener': "process.on('exit', () => s.write('last words')); process.exit(0)",
} as const

const netSocket = (module: string) => `
  const net = await import('${module}')
  const s = net.connect(Number(process.env.PORT), '127.0.0.1')
  s.on('error', () => {})
  await new Promise((resolve) => s.once('connect', resolve))`
const connection = `
  const reactor = new Reactor({ threads })
  const vc = await reactor.connect('tcp://127.0.0.1:' + process.env.PORT)`

/** What is written to, as s. */
const writers = {
  'netvc/net': netSocket('netvc/net'),
  'a connection': `${connection}\nconst s = vc`,
  'a connection, large': `${connection}\nconst s = { write: (text) => vc.write(text + ' '.repeat(9000)) }`,
  'a connection, told': `${connection}\nconst s = { write: (text) => vc.write(text, { completion: () => {} }) }`,
  'a stream': `${connection}\nconst s = vc.stream()\ns.on('error', () => {})`,
} as const

describe('what was written in the last turn leaves', () => {
  let server: Server
  let port: string
  let received: Promise<string> | undefined

  beforeAll(async () => {
    server = createServer((socket) => {
      received = new Promise((resolve) => {
        let text = ''
        socket.on('data', (bytes) => (text += bytes.toString()))
        socket.on('error', () => {}) // the process ends without closing
        socket.on('close', () => resolve(text))
      })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    port = String((server.address() as AddressInfo).port)
  })
  afterAll(() => server.close())

  /** All that the connection of a process brings. */
  async function run(script: string, threads: number): Promise<string> {
    received = undefined
    const { stderr } = await runChild(script, { threads, env: { PORT: port } })
    const text = await (received as Promise<string> | undefined)
    return text === undefined ? `no connection: ${stderr}` : text.replaceAll(' '.repeat(9000), '')
  }

  // In a turn of its own: nothing of netvc is on the stack.
  const script = (prepare: string, end: string) =>
    `${prepare}\nsetImmediate(() => { s.write('hello, '); ${end} })`

  describe.each(Object.entries(ends))('%s', (_, end) => {
    const control = () => run(script(netSocket('node:net'), end), 0)
    for (const [who, prepare] of Object.entries(writers)) {
      test.each([0, 1])(`${who}, %i net threads`, async (threads) => {
        const text = await run(script(prepare, end), threads)
        expect(text).toBe(await control())
        expect(text).toMatch(/^hello, /)
      })
    }
  })

  /** How a worker ends; terminate() meets it while it cannot answer. */
  const workerEnds = {
    'process.exit()': 'process.exit(0)',
    'an exception': "throw new Error('stopped here')",
    'terminate()': "parentPort.postMessage('now'); for (;;);",
  } as const
  const reactors = {
    'a reactor of its own, inline': 'new Reactor()',
    'a reactor of its own, a net thread': 'new Reactor({ threads: 1 })',
    'the shared reactor': 'Reactor.shared()',
  } as const

  describe.each(Object.entries(workerEnds))('a worker ends by %s', (_, end) => {
    test.each(Object.entries(reactors))('%s', async (_, make) => {
      const worker = `
        const { parentPort, workerData } = require('node:worker_threads')
        import(workerData).then(async ({ Reactor }) => {
          const vc = await ${make}.connect('tcp://127.0.0.1:' + process.env.PORT)
          setImmediate(() => { vc.write('hello'); ${end} })
        })`
      const main = `
        import { Worker } from 'node:worker_threads'
        Reactor.shared({ threads: 1 })
        const worker = new Worker(${JSON.stringify(worker)}, {
          eval: true,
          execArgv: [],
          workerData: import.meta.resolve('netvc'),
        })
        worker.on('message', () => worker.terminate())
        worker.on('error', (error) => error.message === 'stopped here' || console.error(error))
        await new Promise((resolve) => worker.on('exit', resolve))
        await Reactor.shared().close()`
      expect(await run(main, 0)).toBe('hello')
    })
  })
})
