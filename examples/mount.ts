// Part of a site in this process, the rest elsewhere, on one port: requests below /api are answered
// by a http.Server of this process, through a pair instead of a loopback connection; everything else
// is tunnelled to a backend. A connection has one request: what follows would go the same way.
//   npm run example mount tcp://127.0.0.1:8080 tcp://127.0.0.1:9000

import { createServer } from 'node:http'
import { Reactor, tunnel, type VConnection } from 'netvc'
import { formatHead, readHead, refuse } from './support/http-head.js'

const [listen = 'tcp://127.0.0.1:8080', backend = 'tcp://127.0.0.1:9000'] = process.argv.slice(2)

const api = createServer((request, response) => {
  let received = 0
  request.on('data', (bytes: Buffer) => (received += bytes.length))
  request.on('end', () => {
    response.setHeader('content-type', 'application/json')
    response.end(`${JSON.stringify({ path: request.url, received })}\n`)
  })
})

async function route(client: VConnection): Promise<void> {
  const head = await readHead(client)
  let other: VConnection
  if (head.start[1].startsWith('/api/')) {
    const [active, passive] = reactor.pair()
    api.emit('connection', passive.stream({ allowHalfOpen: true }))
    other = active
  } else {
    other = await reactor.connect(backend)
  }
  try {
    head.headers.set('connection', 'close')
    other.write(formatHead(head))
    head.reader.consume(head.length)
    tunnel(client, other) // a body that has come already is the first that it sends
  } catch {
    other.doIoClose() // the client has gone
  }
}

const reactor = new Reactor({ threads: 1 })
const listener = await reactor.listen(
  listen,
  (client) => void route(client).catch((error: unknown) => refuse(client, error)),
  { activeTimeout: 10_000 },
)
console.log(`listening ${listener.addresses.join(' ')}`)
