import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import http from 'node:http'
import nodeNet from 'node:net'
import { Reactor } from 'netvc'
import netvcNet from 'netvc/net'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/fixture.js'

// Each thing is asked of Node's own sockets first.

const store = new AsyncLocalStorage<string>()
const seen = (log: string[], what: string) => () => {
  log.push(`${what}: ${String(store.getStore())}`)
}
const portOf = (server: nodeNet.Server) => (server.address() as nodeNet.AddressInfo).port

describe.each([
  ['node:net', nodeNet],
  ['netvc/net', netvcNet as unknown as typeof nodeNet],
])('AsyncLocalStorage: %s', (_, net) => {
  test('events of sockets: that of connect(), and of listen()', async () => {
    const log: string[] = []
    const server = net.createServer((socket) => {
      seen(log, 'connection')()
      socket.once('data', seen(log, 'server data'))
      socket.on('end', seen(log, 'server end'))
      socket.on('close', seen(log, 'server close'))
      socket.end('hello')
    })
    store.run('listen', () => server.listen(0, '127.0.0.1'))
    await once(server, 'listening')
    const dial = (name: string) =>
      store.run(name, () => {
        const socket = net.connect(portOf(server), '127.0.0.1')
        for (const event of ['connect', 'ready', 'end', 'close']) {
          socket.on(event, seen(log, `${name} ${event}`))
        }
        socket.once('data', seen(log, `${name} data`))
        socket.write('request')
        socket.end(seen(log, `${name} ended`))
        return socket
      })
    // At once, so that their events come in one batch.
    const sockets = ['one', 'two', 'three'].map(dial)
    await Promise.all(sockets.map((socket) => once(socket, 'close')))
    server.close()
    await once(server, 'close')
    const ofServer = log.filter((line) => /^(connection|server)/.test(line))
    expect(ofServer.length).toBe(12)
    // Node 20 makes the handle of an accepted socket outside of any context.
    const ours = ofServer.filter((line) => net !== nodeNet || line.startsWith('connection'))
    expect(new Set(ours.map((line) => line.split(': ')[1]))).toEqual(new Set(['listen']))
    for (const name of ['one', 'two', 'three']) {
      expect(log.filter((line) => line.startsWith(name)).sort()).toEqual(
        ['close', 'connect', 'data', 'end', 'ended', 'ready'].map((e) => `${name} ${e}: ${name}`),
      )
    }
  })

  test('a connect that fails, at the second address too', async () => {
    const gone = net.createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const port = portOf(gone)
    gone.close()
    await once(gone, 'close')
    const log: string[] = []
    const lookup = (_: string, __: unknown, told: (...args: unknown[]) => void) => {
      told(null, [
        { address: '127.0.0.1', family: 4 },
        { address: '127.0.0.2', family: 4 },
      ])
    }
    const options = { port, host: 'two.test', lookup, autoSelectFamily: true } as const
    const socket = store.run('here', () => net.connect(options as nodeNet.NetConnectOpts))
    socket.on('connectionAttemptFailed', seen(log, 'attempt'))
    socket.on('error', seen(log, 'error'))
    await once(socket, 'close').catch(() => undefined)
    await eventually(() => log.some((line) => line.startsWith('error')), 'error')
    expect(log).toEqual(['attempt: here', 'attempt: here', 'error: here'])
  })

  test('a write that has to wait calls back in the context of write()', async () => {
    const log: string[] = []
    const server = net.createServer((socket) => void socket.resume()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = store.run('connect', () => net.connect(portOf(server), '127.0.0.1'))
    await once(socket, 'connect')
    await new Promise<void>((resolve) => {
      store.run('write', () =>
        socket.write(Buffer.alloc(8 << 20), () => {
          seen(log, 'written')()
          resolve()
        }),
      )
    })
    expect(log).toEqual(['written: write'])
    socket.destroy()
    server.close()
    await once(server, 'close')
  })

  test('requests of http on it: each its own', async () => {
    const handled: (string | undefined)[] = []
    const web = http.createServer((request, response) => {
      store.run(String(request.url), () => {
        request.resume()
        setImmediate(() => {
          handled.push(store.getStore())
          response.end(store.getStore())
        })
      })
    })
    const server = net.createServer((socket) => web.emit('connection', socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const agent = new http.Agent({ keepAlive: true, maxSockets: 2 })
    const text = (path: string) =>
      new Promise<string>((resolve, reject) => {
        const options = { port: portOf(server), path, agent, method: 'POST' }
        const request = http.request(options, (response) => {
          let body = ''
          response.on('data', (part) => (body += String(part)))
          response.on('end', () => {
            resolve(`${body} for ${String(store.getStore())}`)
          })
        })
        request.on('error', reject).end('body of it')
      })
    const paths = Array.from({ length: 20 }, (_, i) => `/${String(i)}`)
    const bodies = await Promise.all(
      paths.map((path) => store.run(`client ${path}`, () => text(path))),
    )
    expect(bodies).toEqual(paths.map((path) => `${path} for client ${path}`))
    expect(handled.sort()).toEqual(paths.sort())
    agent.destroy()
    server.close()
    await once(server, 'close')
  })
})

describe.each([0, 1])('AsyncLocalStorage: vc.stream(), %i net threads', (threads) => {
  test('events of a stream: that of stream()', async () => {
    const log: string[] = []
    const reactor = new Reactor({ threads })
    const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
      store.run(`stream ${String(log.push('accepted'))}`, () => {
        const stream = vc.stream()
        stream.on('data', seen(log, 'data'))
        stream.on('close', seen(log, 'close'))
        stream.on('timeout', seen(log, 'timeout'))
        stream.on('error', seen(log, 'error'))
      })
    })
    const [one, two] = await Promise.all([0, 1].map(() => reactor.connect(listener.addresses[0])))
    await eventually(() => log.length === 2, 'both')
    one.write('x')
    two.write('x')
    await eventually(() => log.length === 4, 'data')
    one.doIoClose()
    two.closeWithReset()
    await eventually(() => log.length === 7, 'the ends')
    expect(log.slice(2).sort()).toEqual([
      'close: stream 1',
      'close: stream 2',
      'data: stream 1',
      'data: stream 2',
      expect.stringMatching(/^error: stream [12]$/),
    ])
    await reactor.close()
  })
})
