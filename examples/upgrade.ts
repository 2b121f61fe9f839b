// A reverse proxy for WebSockets: forwards the handshake, and leaves when the upstream has agreed.
// No frame is seen by JavaScript, however long the connection lives.
//   npm run example upgrade tcp://127.0.0.1:8080 /chat=tcp://127.0.0.1:9001 /=tcp://127.0.0.1:9002
//                           listen               the longest prefix of the path decides

import { Reactor, tunnel, type VConnection } from 'netvc'
import { formatHead, HeadError, readHead, refuse, type HttpHead } from './support/http-head.js'

const [listen = 'tcp://127.0.0.1:8080', ...rules] = process.argv.slice(2)
const routes = rules
  .map((rule) => /^(\/[^=]*)=(.+)$/.exec(rule) ?? [])
  .sort(([, a = ''], [, b = '']) => b.length - a.length)

/** The upstream is to see the address of the client. */
function addForwardedFor({ headers }: HttpHead, client: VConnection): void {
  const { hostname } = new URL(client.remoteAddress ?? '')
  const before = headers.get('x-forwarded-for')
  headers.set('x-forwarded-for', before === undefined ? hostname : `${before}, ${hostname}`)
}

async function serve(client: VConnection): Promise<void> {
  const request = await readHead(client)
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') throw new HeadError(426)
  const [, , upstream] = routes.find(([, prefix = '']) => request.start[1].startsWith(prefix)) ?? []
  if (upstream === undefined) throw new HeadError(404)

  const server = await reactor.connect(upstream, { activeTimeout: 10_000 })
  try {
    addForwardedFor(request, client)
    server.write(formatHead(request))
    request.reader.consume(request.length)
    const answer = await readHead(server)
    // Not consumed: the tunnel sends the answer, and whatever came behind it.
    if (answer.start[1] === '101') tunnel(client, server)
    else throw new HeadError(Number(answer.start[1]))
  } catch (error) {
    server.doIoClose()
    throw error
  }
}

const reactor = new Reactor({ threads: 1 })
const listener = await reactor.listen(
  listen,
  (client) => void serve(client).catch((error: unknown) => refuse(client, error)),
  { activeTimeout: 20_000 },
)
console.log(`listening ${listener.addresses.join(' ')}`)
