// One proxy in a process of its own, so that its CPU time can be told apart.
// argv: netvc | node, port of the origin. Answers 'usage' over IPC.

import { connect, createServer, type AddressInfo } from 'node:net'

import { Reactor, tunnel } from '../index.js'

const [, , kind, origin] = process.argv

async function startNetvc(): Promise<number> {
  const reactor = new Reactor({ threads: 1 })
  const upstream = `tcp://127.0.0.1:${String(origin)}`
  const listener = await reactor.listen('tcp://127.0.0.1:0', (client) => {
    reactor
      .connect(upstream)
      .then((server) => tunnel(client, server))
      .catch(() => client.doIoClose())
  })
  return Number(new URL(String(listener.addresses[0])).port)
}

/** As one writes it with node:net: two pipes, and care for the ends. */
function startNode(): Promise<number> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const to = { port: Number(origin), host: '127.0.0.1', allowHalfOpen: true, noDelay: true }
    const upstream = connect(to)
    client.pipe(upstream).pipe(client)
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuUs: user + system, rss: process.memoryUsage.rss() })
})
process.on('disconnect', () => process.exit())
process.send?.({ port: await (kind === 'netvc' ? startNetvc() : startNode()) })
