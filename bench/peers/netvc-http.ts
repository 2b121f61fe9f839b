// Hello with node:http on connections of a netvc listener.
//   --threads n  0: inline on the JavaScript thread; n: sockets live on n net threads

import { Reactor } from 'netvc'
import { createHttpServer } from './http.js'
import { announce, peerOptions } from './support.js'

const server = createHttpServer()
server.emit('listening') // it watches over slow requests, as one that listens does
const reactor = new Reactor({ threads: peerOptions().threads })
const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
  server.emit('connection', vc.stream({ allowHalfOpen: true }))
})
announce(new URL(String(listener.addresses[0])).port)
