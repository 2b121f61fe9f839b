// Hello with node:http on connections of another module's net.Server.
//   --net netvc/net  which one

import type { AddressInfo } from 'node:net'
import { createHttpServer } from './http.js'
import { announce, peerOptions } from './support.js'

const { createServer } = await peerOptions().net
const http = createHttpServer()
http.emit('listening') // it watches over slow requests, as one that listens does
const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  http.emit('connection', socket)
})
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  announce((server.address() as AddressInfo).port)
})
