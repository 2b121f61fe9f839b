import { Reactor, tunnel, type Tunnel, type TunnelOptions } from 'netvc'

import { openDescriptors } from '../../js/support/descriptors.js'
import { finally_ } from './cleanup.js'
import { Program } from './programs.js'

/** A proxy of this process, whose tunnels a test can ask. */
export class Proxy {
  readonly reactor: Reactor
  port = 0
  readonly #before = openDescriptors().length
  #joined: Tunnel[] = []
  #waiting: ((t: Tunnel) => void)[] = []

  private constructor(threads: number) {
    this.reactor = new Reactor({ threads })
  }

  /** upstream is asked for each client. */
  static async start(
    threads: number,
    upstream: () => number,
    options?: TunnelOptions,
  ): Promise<Proxy> {
    const proxy = new Proxy(threads)
    finally_(() => proxy.reactor.close())
    const listener = await proxy.reactor.listen('tcp://127.0.0.1:0', (client) => {
      const join = async () => {
        const server = await proxy.reactor.connect(`tcp://127.0.0.1:${String(upstream())}`)
        const t = tunnel(client, server, options)
        const waiting = proxy.#waiting.shift()
        if (waiting) waiting(t)
        else proxy.#joined.push(t)
      }
      void join()
    })
    proxy.port = Number(new URL(listener.addresses[0]).port)
    return proxy
  }

  /** The next tunnel. */
  next(): Promise<Tunnel> {
    const t = this.#joined.shift()
    return t ? Promise.resolve(t) : new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Closes it; then it must hold nothing: sockets that the test itself has left are its own. */
  async close(own = 0): Promise<void> {
    await this.reactor.close()
    const limit = Date.now() + 10_000
    while (openDescriptors().length - own > this.#before) {
      if (Date.now() > limit) throw new Error(`descriptors left: ${openDescriptors().join(' ')}`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
}

/** A socat that listens, and its port. */
export async function socatListener(
  ...address: string[]
): Promise<{ server: Program; port: number }> {
  const [options, other] = address.length > 1 ? [[address[0]], address[1]] : [[], address[0]]
  const server = new Program('socat', [
    ...['-d', '-d', ...options],
    'TCP-LISTEN:0,bind=127.0.0.1',
    other,
  ])
  const [, port] = await server.printed(/listening on AF=2 127\.0\.0\.1:(\d+)/, 'stderr')
  return { server, port: Number(port) }
}
