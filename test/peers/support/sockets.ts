import { once } from 'node:events'
import {
  connect as netConnect,
  createServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net'

import { finally_ } from './cleanup.js'

/** Everything that a socket hears, so that a test can wait for it after it happened. */
export class Peer {
  readonly chunks: Buffer[] = []
  received = 0
  error: NodeJS.ErrnoException | undefined
  readonly ended: Promise<void>
  readonly closed: Promise<void>
  /** It ended or was reset by the other side. */
  readonly over: Promise<void>

  constructor(readonly socket: Socket) {
    socket.on('data', (bytes: Buffer) => {
      this.chunks.push(bytes)
      this.received += bytes.length
    })
    socket.on('error', (error) => (this.error = error))
    this.ended = new Promise((resolve) => socket.once('end', resolve))
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
    this.over = Promise.race([this.ended, this.closed])
    finally_(() => socket.destroy())
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }

  /** Resolves when so many bytes are there. */
  async has(bytes: number): Promise<void> {
    while (this.received < bytes) await once(this.socket, 'data')
  }

  /** Ends the connection with a reset instead of a FIN. */
  reset(): void {
    this.socket.resetAndDestroy()
  }
}

export async function connect(port: number): Promise<Peer> {
  const socket = netConnect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const peer = new Peer(socket)
  await once(socket, 'connect')
  return peer
}

/** A server whose connections are taken one by one with next(). */
export class Upstream {
  readonly server: Server
  #ready: Peer[] = []
  #waiting: ((peer: Peer) => void)[] = []

  private constructor(pauseOnConnect: boolean) {
    this.server = createServer({ allowHalfOpen: true, pauseOnConnect }, (socket) => {
      const peer = new Peer(socket)
      const waiting = this.#waiting.shift()
      if (waiting) waiting(peer)
      else this.#ready.push(peer)
    })
    finally_(() => this.server.close())
  }

  static async start(options: { pauseOnConnect?: boolean } = {}): Promise<Upstream> {
    const upstream = new Upstream(options.pauseOnConnect ?? false)
    upstream.server.listen(0, '127.0.0.1')
    await once(upstream.server, 'listening')
    return upstream
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  next(): Promise<Peer> {
    const ready = this.#ready.shift()
    return ready ? Promise.resolve(ready) : new Promise((resolve) => this.#waiting.push(resolve))
  }
}

/** A port that was free a moment ago, for programs that cannot choose one. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
