// Clients of HTTP on connections of netvc: http.Agent, for node:http and what is built on it, and
// undici. Both keep connections alive and use them again.
//   npm run example http-client http://127.0.0.1:8080/

import { Agent, get, type ClientRequestArgs, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { Reactor } from 'netvc'
import { Agent as UndiciAgent, request } from 'undici'

const reactor = new Reactor()

class NetvcAgent extends Agent {
  override createConnection(
    { host, port }: ClientRequestArgs,
    done?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    reactor.connect(`tcp://${host ?? 'localhost'}:${String(port ?? 80)}`).then(
      (vc) => done?.(null, vc.stream()),
      (error: Error) => done?.(error, undefined!),
    )
  }
}

const dispatcher = new UndiciAgent({
  connect({ hostname, port }, done) {
    reactor.connect(`tcp://${hostname}:${port || '80'}`).then(
      (vc) => done(null, vc.stream() as unknown as Socket), // it uses only what a stream has as well
      (error: Error) => done(error, null),
    )
  },
})

const url = process.argv[2] ?? 'http://127.0.0.1:8080/'
const agent = new NetvcAgent({ keepAlive: true })
for (let i = 0; i < 2; i++) {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, { agent }, resolve).on('error', reject)
  })
  console.log(`http.Agent: ${await text(answer)}`)
  const { body } = await request(url, { dispatcher })
  console.log(`undici: ${await body.text()}`)
}
console.log(`${String(reactor.stats().connections)} connections were enough`)

agent.destroy()
await dispatcher.close()
await reactor.close()
