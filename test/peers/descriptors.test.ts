// A server with 64 descriptors, and a thousand clients (TH-2, MA-2, INV-22). Linux.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

import { onBothEngines } from '../js/support/engines.js'
import { eventually } from '../js/support/fixture.js'
import { Program } from './support/programs.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

// Echoes; says on request what it has done. Everything that a request needs is there from the
// start, since there will be no descriptor to load it with.
const script = `
import { Reactor, MIOBuffer, VCEvent } from 'netvc'
const [threads, throttle, idle] = process.argv.slice(1).map(Number)
Reactor.setThrottle(throttle)
const reactor = new Reactor({ threads })
let accepted = 0
const limited = {}
const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
  accepted++
  const buffer = new MIOBuffer(), reader = buffer.allocReader()
  vc.doIoRead((event) => {
    if (event !== VCEvent.READ_READY) { vc.doIoClose(); buffer.free(); return }
    vc.write(reader.read())
    if (idle) vc.addToKeepAliveQueue()
  }, Infinity, buffer)
}, { onLimited: (what) => { limited[what] = (limited[what] ?? 0) + 1 } })
process.on('warning', ({ code }) => console.log('warning ' + code))
process.stdin.on('data', () => {
  const { user, system } = process.cpuUsage()
  const { acceptsRescued, acceptsThrottled, keepAliveEvicted, open } = reactor.stats()
  console.log('report ' + JSON.stringify({ cpu: (user + system) / 1e6, at: performance.now() / 1e3,
    accepted, limited, acceptsRescued, acceptsThrottled, keepAliveEvicted, open }))
})
process.stdin.on('end', () => reactor.close())
console.log('listening ' + listener.addresses[0])
`

interface Report {
  cpu: number
  at: number
  accepted: number
  limited: Record<string, number>
  acceptsRescued: number
  acceptsThrottled: number
  keepAliveEvicted: number
  open: number
}

class Server {
  port = 0
  #asked = 0
  private constructor(readonly program: Program) {}

  static async start(threads: number, throttle: number, idle = false): Promise<Server> {
    const limited = 'ulimit -n 64; exec "$0" "$@"'
    const args = ['--input-type=module', '--eval', script]
    const numbers = [threads, throttle, idle ? 1 : 0].map(String)
    const server = new Server(
      new Program('sh', ['-c', limited, process.execPath, ...args, ...numbers], { cwd: root }),
    )
    const [, port] = await server.program.printed(/listening tcp:\/\/127.0.0.1:(\d+)/)
    server.port = Number(port)
    return server
  }
  async report(): Promise<Report> {
    this.program.child.stdin!.write('?')
    const lines = `(?:^report .*\\n[^]*){${String(this.#asked++)}}^report (.*)\\n`
    const [, json] = await this.program.printed(new RegExp(lines, 'm'))
    return JSON.parse(json) as Report
  }
  /** When it has closed them too: a client's 'close' is only the client's. */
  async empty(): Promise<void> {
    while ((await this.report()).open > 0);
  }
  /** Of a core, over two seconds in which nobody does anything. */
  async cpuShare(): Promise<number> {
    const before = await this.report()
    await new Promise((resolve) => setTimeout(resolve, 2000))
    const after = await this.report()
    return (after.cpu - before.cpu) / (after.at - before.at)
  }
  async stop(): Promise<void> {
    this.program.child.stdin!.end()
    expect(await this.program.exited).toEqual({ code: 0, signal: null })
    expect(this.program.stderr).not.toMatch(/Error/)
  }
}

class Client {
  readonly socket: Socket
  answered = ''
  over = false

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.on('data', (bytes) => (this.answered += String(bytes)))
    this.socket.on('error', () => {})
    this.socket.on('close', () => (this.over = true))
    this.socket.write('hello')
  }
  get served(): boolean {
    return this.answered === 'hello'
  }
}

const many = (server: Server, n: number) => Array.from({ length: n }, () => new Client(server.port))

describe.runIf(process.platform === 'linux')('ulimit -n 64 under 1,000 connects', () => {
  onBothEngines((threads) => {
    test('TH-2 TH-5: throttled, all wait and all are served, as others leave', async () => {
      const server = await Server.start(threads, -1)
      const clients = many(server, 1000)
      await eventually(() => clients.some(({ served }) => served), 'the first are served')
      expect(await server.cpuShare()).toBeLessThan(0.05)
      const waiting = await server.report()
      expect(waiting.open).toBeLessThanOrEqual(16)
      expect(waiting.acceptsThrottled).toBeGreaterThan(0)
      expect(Object.keys(waiting.limited)).toEqual(['throttled'])
      for (const c of clients) {
        if (c.served) c.socket.destroy()
        else c.socket.on('data', () => c.socket.destroy())
      }
      await eventually(() => clients.every(({ over }) => over), 'everybody has been there')
      expect(clients.filter(({ served }) => !served)).toEqual([])
      expect(await server.report()).toMatchObject({ accepted: 1000, acceptsRescued: 0 })
      expect(server.program.stdout.match(/^warning .*/gm)).toEqual(['warning NETVC_THROTTLED'])
      await server.stop()
    })

    test('MA-2 INV-22 B-40: not throttled, who finds no descriptor is closed; it recovers', async () => {
      const server = await Server.start(threads, 0)
      const clients = many(server, 1000)
      await eventually(() => clients.every((c) => c.served || c.over), 'served or closed')
      const served = clients.filter((c) => !c.over)
      expect(served.length).toBeGreaterThan(0)
      expect(served.every((c) => c.served)).toBe(true)
      const full = await server.report()
      expect(full.accepted).toBe(served.length)
      expect(full.acceptsRescued).toBe(1000 - served.length)
      expect(Object.keys(full.limited)).toEqual(['descriptors'])
      expect(await server.cpuShare()).toBeLessThan(0.05)
      for (const c of served) c.socket.destroy()
      await eventually(() => served.every((c) => c.over), 'they have left')
      await server.empty()
      const again = new Client(server.port)
      await eventually(() => again.served || again.over, 'the next one')
      expect(again.served).toBe(true)
      again.socket.destroy()
      await once(again.socket, 'close')
      expect(server.program.stdout.match(/^warning .*/gm)).toEqual(['warning NETVC_NO_DESCRIPTORS'])
      await server.stop()
    })

    test('KQ-4: those that wait in the keep-alive queue make room for all', async () => {
      const server = await Server.start(threads, 0, true)
      const clients: Client[] = []
      for (let i = 0; i < 200; i++) {
        const c = new Client(server.port)
        clients.push(c)
        await eventually(() => c.served || c.over, 'served')
      }
      expect(clients.filter((c) => !c.served).length).toBe(0)
      const report = await server.report()
      expect(report.keepAliveEvicted).toBeGreaterThan(100)
      for (const c of clients) c.socket.destroy()
      await eventually(() => clients.every((c) => c.over), 'they have left')
      await server.stop()
    })
  })
})
