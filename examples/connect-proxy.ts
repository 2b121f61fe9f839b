// An HTTP CONNECT proxy: reads the head, decides, connects, answers, and leaves. From then on
// JavaScript is not involved; what came behind the head is handed on unread.
//   npm run example connect-proxy tcp://127.0.0.1:3128 example.org:443 localhost:8443
//                                 listen               where clients may go
//   curl -x http://127.0.0.1:3128 https://example.org/

import { Reactor, tunnel, type VConnection } from 'netvc'
import { HeadError, readHead, refuse } from './support/http-head.js'

const [listen = 'tcp://127.0.0.1:3128', ...allowed] = process.argv.slice(2)

async function serve(client: VConnection): Promise<void> {
  const { start, length, reader } = await readHead(client)
  const [method, target] = start
  if (method !== 'CONNECT') throw new HeadError(405)
  if (!allowed.includes(target)) throw new HeadError(403)

  const server = await reactor.connect(`tcp://${target}`)
  try {
    reader.consume(length) // the rest belongs to the server: the tunnel sends it first
    client.write('HTTP/1.1 200 Connection established\r\n\r\n')
    tunnel(client, server)
  } catch (error) {
    server.doIoClose() // the client has gone
    throw error
  }
}

const reactor = new Reactor({ threads: 1 })
const listener = await reactor.listen(
  listen,
  (client) => void serve(client).catch((error: unknown) => refuse(client, error)),
  { activeTimeout: 10_000 }, // until there is a head; a tunnel has timeouts of its own
)
console.log(`listening ${listener.addresses.join(' ')}`)
