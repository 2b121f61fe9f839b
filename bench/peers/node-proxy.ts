// TCP proxy with node:net: two pipes. Half-open is allowed so that one direction may
// end before the other, as in every proxy it is compared with.

import { connect, createServer, type AddressInfo } from 'node:net'
import { announce, peerOptions } from './support.js'

const { to } = peerOptions()

const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const upstream = connect({ ...to, noDelay: true, allowHalfOpen: true })
  client.pipe(upstream).pipe(client)
  client.on('error', () => upstream.destroy())
  upstream.on('error', () => client.destroy())
  client.on('close', () => upstream.destroySoon())
  upstream.on('close', () => client.destroySoon())
})
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  announce((server.address() as AddressInfo).port)
})
