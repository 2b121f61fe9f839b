// TLS by node:tls over connections of netvc, at either end.
//   npm run example tls terminate tcp://127.0.0.1:8443 tcp://127.0.0.1:8080 cert.pem key.pem
//       takes TLS, and talks in the clear to the upstream
//   npm run example tls originate tcp://127.0.0.1:8080 tcp://127.0.0.1:8443 ca.pem example.org
//       takes connections in the clear, and talks TLS to the upstream, whose name it verifies

import { readFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { connect, createSecureContext, TLSSocket } from 'node:tls'
import { Reactor, type VConnection } from 'netvc'

const [mode, listen, upstream, file, last] = process.argv.slice(2)
if (!listen || !upstream || !file || !last) {
  throw new Error('usage: tls terminate|originate <listen> <upstream> <cert|ca> <key|name>')
}
const pem = readFileSync(file)

/** Each of them takes what the listener has accepted and what was connected, as streams. */
const modes: Record<string, (client: Duplex, server: Duplex) => [Duplex, Duplex]> = {
  terminate(client, server) {
    return [new TLSSocket(client, { isServer: true, secureContext }), server]
  },
  originate(client, server) {
    return [client, connect({ socket: server, ca: pem, servername: last })]
  },
}
const secureContext =
  mode === 'terminate' ? createSecureContext({ cert: pem, key: readFileSync(last) }) : undefined
const wrap = modes[mode]
if (!wrap) throw new Error(`no such mode: ${mode}`)

async function join(vc: VConnection): Promise<void> {
  const client = vc.stream()
  let server: Duplex
  try {
    server = (await reactor.connect(upstream)).stream()
  } catch {
    client.destroy()
    return
  }
  const [near, far] = wrap(client, server)
  await Promise.allSettled([pipeline(near, far), pipeline(far, near)]) // an error has ended both
}

const reactor = new Reactor()
const listener = await reactor.listen(listen, (vc) => void join(vc))
console.log(`listening ${listener.addresses.join(' ')}`)
