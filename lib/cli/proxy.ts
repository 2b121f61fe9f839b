import { Reactor, tunnel, type Tunnel, type VConnection } from '../index.js'
import type { ProxyOptions } from './options.js'
import type { Problems } from './problems.js'
import { Clients, type Service } from './service.js'

/** Connects each client to the upstream. Once both are joined JavaScript has nothing to do. */
export async function proxyService(
  listen: string,
  upstream: string,
  options: ProxyOptions,
  problems: Problems,
): Promise<Service> {
  const { connectTimeout, inactivityTimeout, activeTimeout, halfCloseTimeout, stallTimeout } =
    options
  const limits = { inactivityTimeout, activeTimeout, halfCloseTimeout, stallTimeout }
  const reactor = new Reactor({ threads: options.threads })
  const clients = new Clients()
  const tunnels = new Set<Tunnel>()
  const ended = { aToB: 0, bToA: 0 }
  const ends = new Map<string, number>()

  // Nothing is armed on the client before the upstream is there: what it sends meanwhile waits in
  // the kernel, and its end or reset is met by the tunnel.
  async function join(client: VConnection): Promise<void> {
    const server = await reactor.connect(upstream, { timeout: connectTimeout })
    if (client.closed) {
      server.doIoClose()
      return
    }
    const joined = tunnel(client, server, limits)
    tunnels.add(joined)
    const result = await joined.closed
    tunnels.delete(joined)
    ended.aToB += result.aToB
    ended.bToA += result.bToA
    if (result.reason !== 'eos') ends.set(result.reason, (ends.get(result.reason) ?? 0) + 1)
  }

  async function serveClient(client: VConnection): Promise<void> {
    clients.opened()
    try {
      await join(client)
    } catch (error) {
      client.doIoClose()
      if (!reactor.closed) problems.report(error)
    }
    clients.closed()
  }

  const listener = await reactor.listen(listen, (client) => void serveClient(client))
  const counters = () => {
    const { open, accepted } = clients
    let { aToB: bytesIn, bToA: bytesOut } = ended
    for (const t of tunnels) {
      bytesIn += t.aToB
      bytesOut += t.bToA
    }
    return { open, accepted, failed: problems.total, bytesIn, bytesOut }
  }
  return { reactor, listener, clients, counters, ends }
}
