import { connect as netConnect, createServer, type Server, type Socket } from 'node:net'
import { inspect } from 'node:util'
import {
  MIOBuffer,
  Reactor,
  tunnel,
  VCEvent,
  type IOBufferReader,
  type Listener,
  type TunnelOptions,
  type VConnection,
  type VIO,
} from 'netvc'
import { integerBelow, logarithmic, pick, random } from '../support/pattern.js'
import { Recorder } from '../support/recorder.js'

export type Next = () => number

export const newTotals = () => ({
  rounds: 0,
  connections: 0,
  accepted: 0,
  bytes: 0,
  thrown: 0,
  refused: 0,
  connectTimeouts: 0,
  cancelled: 0,
  migrations: 0,
  evicted: 0,
  inactivity: 0,
  active: 0,
  latestMs: 0,
  closes: 0,
  resets: 0,
  halfCloses: 0,
  tunnels: {} as Record<string, number>,
})
export type Totals = ReturnType<typeof newTotals>

/** What handlers throw on purpose. */
export class Thrown extends Error {}

/** Something is not as it must be. */
export function must(truth: boolean, what: string): void {
  if (!truth) throw new Error(what)
}

export const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Lets the loop turn until a condition holds; a generous bound instead of for ever. */
export async function eventually(test: () => boolean, what: () => string): Promise<void> {
  const limit = Date.now() + 20_000
  while (!test()) {
    if (Date.now() > limit) throw new Error(`never happened: ${what()}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Where the actors of a round meet: a reactor, what listens there, and what listens elsewhere. */
export class World {
  readonly #buffers = new Set<MIOBuffer>()
  readonly #listeners: Listener[] = []
  readonly #mute: Server
  readonly #muted = new Set<Socket>()
  readonly #waiting: Socket[] = []
  #first: VConnection | undefined
  readonly to = {
    echo: '', // three that answer with what they get
    pipe: '',
    tunnel: '',
    limited: '', // the same with limits, or with nobody at its other end
    rude: '', // closes early
    mute: '', // never reads or writes
    full: '', // never answers the handshake
    nobody: '', // nobody listens
  }
  /** Accepted connections whose handlers have not seen the end. */
  readonly #live = new Set<VConnection>()
  /** What went wrong where nobody waits for it. */
  readonly wrong: unknown[] = []

  private constructor(
    readonly reactor: Reactor,
    private readonly seed: number,
    readonly totals: Totals,
  ) {
    this.#mute = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {})
      this.#muted.add(socket)
    })
  }

  static async open(threads: number, seed: number, totals: Totals): Promise<World> {
    const world = new World(new Reactor({ threads }), seed, totals)
    const { to } = world
    to.mute = await listening(world.#mute)
    to.echo = await world.#listen((vc, next) => world.#echo(vc, next))
    to.pipe = await world.#listen((vc) => world.#pipe(vc))
    to.rude = await world.#listen((vc, next) => world.#rude(vc, next))
    to.tunnel = await world.#listen((vc, next) => world.#join(vc, next, false))
    to.limited = await world.#listen((vc, next) => world.#join(vc, next, true))
    await world.#fill()
    // A port that is taken, as nobody else may come to listen there.
    to.nobody = `tcp://127.0.0.1:${String(world.#waiting[0].localPort)}`
    return world
  }

  /** A fresh buffer of any shape, and a reader of it. */
  buffer(next: Next): [MIOBuffer, IOBufferReader] {
    const buffer = new MIOBuffer({
      blockSize: logarithmic(next, 128, 262144),
      waterMark: pick(next, [0, 100, 4096, 65536, 1 << 20]),
    })
    this.#buffers.add(buffer)
    return [buffer, buffer.allocReader()]
  }
  free(...buffers: MIOBuffer[]): void {
    for (const buffer of buffers) {
      this.#buffers.delete(buffer)
      buffer.free()
    }
  }

  /** At the end of a handler, now and then: whoever throws loses no event, and nobody else does. */
  toss(next: Next): void {
    if (integerBelow(next, 12) !== 0) return
    this.totals.thrown++
    throw new Thrown()
  }

  /** A handler that keeps to the rules of Recorder, and may throw. */
  handler(next: Next, react: (event: VCEvent, vio: VIO) => void): Recorder['handler'] {
    const recorder = new Recorder(react)
    return (event, vio) => {
      recorder.handler(event, vio)
      this.toss(next)
    }
  }

  /** Closes in any way that there is. */
  leave(vc: VConnection, next: Next): void {
    this.totals.closes++
    const how = integerBelow(next, 4)
    if (how === 0) {
      this.totals.resets++
      vc.closeWithReset()
    } else if (how === 1) vc.closeGracefully(200)
    else if (how === 2) vc.doIoClose(103)
    else vc.doIoClose()
  }

  /** A plain socket of node:net; errors are its 'close'. */
  dial(address: string): Socket {
    const { hostname, port } = new URL(address)
    const socket = netConnect({ host: hostname, port: Number(port), allowHalfOpen: true })
    socket.on('error', () => {})
    return socket
  }

  /** Everything that the listeners made must have ended by itself; then all is closed. */
  async close(): Promise<void> {
    await eventually(
      () => this.#live.size === 0,
      () => {
        const left = [...this.#live].map(
          (vc) => `${String(vc.localAddress)} ${inspect(vc.inspect())}`,
        )
        return `the end of ${left.join(', ')}; ${JSON.stringify(this.to)}`
      },
    )
    for (const socket of [...this.#muted, ...this.#waiting]) socket.destroy()
    await new Promise((resolve) => this.#mute.close(resolve))
    await Promise.all(this.#listeners.map((listener) => listener.close()))
    await this.reactor.close()
    this.free(...this.#buffers)
    must(this.wrong.length === 0, `in the background: ${this.wrong.map(String).join('; ')}`)
  }

  async #listen(take: (vc: VConnection, next: Next) => void): Promise<string> {
    let n = this.#listeners.length * 1_000_000
    const listener = await this.reactor.listen('tcp://127.0.0.1:0', (vc) => {
      const next = random(this.seed + n++)
      this.totals.accepted++
      take(vc, next)
      this.toss(next)
    })
    this.#listeners.push(listener)
    return listener.addresses[0]
  }

  /** A listener that accepts one, with a full queue: the handshake of others is not answered. */
  async #fill(): Promise<void> {
    const options = { maxConnections: 1, backlog: 1 }
    const take = (vc: VConnection) => (this.#first = vc) // or it is collected, and closed
    const listener = await this.reactor.listen('tcp://127.0.0.1:0', take, options)
    this.#listeners.push(listener)
    this.to.full = listener.addresses[0]
    this.#waiting.push(this.dial(this.to.full))
    await eventually(
      () => this.#first !== undefined,
      () => 'the first is accepted',
    )
    for (let i = 0; i < 4; i++) this.#waiting.push(this.dial(this.to.full))
    const connected = () => this.#waiting.filter((socket) => !socket.connecting).length
    await eventually(
      () => connected() === 3,
      () => `two wait in the queue: ${String(connected())}`,
    )
  }

  /** Sends back messages. */
  #echo(vc: VConnection, next: Next): void {
    const [buffer, reader] = this.buffer(next)
    this.#live.add(vc)
    const handler = this.handler(next, (event) => {
      const bytes = Buffer.from(reader.read())
      if (!vc.failed) vc.write(bytes)
      if (event === VCEvent.READ_READY) return
      vc.doIoClose() // what was written leaves before
      this.free(buffer)
      this.#live.delete(vc)
    })
    vc.doIoRead(handler, Infinity, buffer)
  }

  /** Sends back through one buffer of two operations, as examples/vio-echo.ts does. */
  #pipe(vc: VConnection): void {
    const buffer = new MIOBuffer()
    const reader = buffer.allocReader()
    let ended = false
    this.#live.add(vc)
    const close = () => {
      if (vc.closed) return
      vc.doIoClose()
      buffer.free()
      this.#live.delete(vc)
    }
    const writes = vc.doIoWrite(
      (event) => {
        if (event !== VCEvent.WRITE_READY) close()
        else if (!ended) reads.reenable()
        else if (reader.readAvail === 0) close()
        else writes.reenable()
      },
      Infinity,
      reader,
    )
    const reads = vc.doIoRead(
      (event) => {
        ended = event === VCEvent.EOS && vc.error === undefined
        if (event === VCEvent.READ_READY || (ended && reader.readAvail > 0)) writes.reenable()
        else close()
      },
      Infinity,
      buffer,
    )
  }

  #rude(vc: VConnection, next: Next): void {
    let left = integerBelow(next, 4)
    if (left === 0) {
      this.leave(vc, next)
      return
    }
    const [buffer, reader] = this.buffer(next)
    this.#live.add(vc)
    const handler = this.handler(next, (event) => {
      reader.consume(reader.readAvail)
      if (event === VCEvent.READ_READY && --left > 0) return
      this.leave(vc, next)
      this.free(buffer)
      this.#live.delete(vc)
    })
    vc.doIoRead(handler, Infinity, buffer)
  }

  #join(a: VConnection, next: Next, limited: boolean): void {
    const limits: TunnelOptions = {}
    if (limited) {
      limits.inactivityTimeout = 20 + integerBelow(next, 200)
      if (integerBelow(next, 2)) limits.activeTimeout = 20 + integerBelow(next, 300)
      if (integerBelow(next, 2)) limits.halfCloseTimeout = 10 + integerBelow(next, 100)
      if (integerBelow(next, 2)) limits.stallTimeout = 10 + integerBelow(next, 100)
    }
    const { echo, pipe, mute } = this.to
    this.#live.add(a)
    const join = async () => {
      const options = limited ? { sendBufferSize: 4096 } : {}
      const b = await this.reactor.connect(
        pick(next, limited ? [pipe, mute] : [pipe, echo]),
        options,
      )
      if (a.closed) {
        b.doIoClose()
        return
      }
      const began = performance.now()
      const sizes = {
        blockSize: logarithmic(next, 128, 65536),
        waterMark: logarithmic(next, 1, 65536),
      }
      const { reason } = await tunnel(a, b, { ...sizes, ...limits }).closed
      const limit = {
        inactivity: limits.inactivityTimeout,
        active: limits.activeTimeout,
        'half-close': limits.halfCloseTimeout,
        stall: limits.stallTimeout,
      }[reason as string]
      const known = ['eos', 'error', 'closed'].includes(reason)
      must(known || limit !== undefined, `a limit that was not set: ${reason}`)
      must(performance.now() - began >= (limit ?? 0), `early: ${reason}`)
      this.totals.tunnels[reason] = (this.totals.tunnels[reason] ?? 0) + 1
    }
    join()
      .catch((error: unknown) => this.wrong.push(error))
      .finally(() => this.#live.delete(a))
  }
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return `tcp://127.0.0.1:${String(typeof address === 'object' ? address?.port : '')}`
}
