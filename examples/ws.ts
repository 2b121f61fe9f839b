// WebSockets by the ws package, both its server and its client, on connections of netvc.
//   npm run example ws tcp://127.0.0.1:8080

import { createServer } from 'node:http'
import { Reactor } from 'netvc'
import { connect } from 'netvc/net'
import { WebSocket, WebSocketServer } from 'ws'

const reactor = new Reactor()

const server = createServer()
const sockets = new WebSocketServer({ server })
sockets.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})
const listener = await reactor.listen(process.argv[2] ?? 'tcp://127.0.0.1:8080', (vc) => {
  server.emit('connection', vc.stream({ allowHalfOpen: true }))
})
console.log(`listening ${listener.addresses.join(' ')}`)

const [address = ''] = listener.addresses
const client = new WebSocket(address.replace('tcp:', 'ws:'), { createConnection: connect })
client.on('open', () => client.send('hello'))
client.on('message', (data: Buffer) => {
  console.log(`the server said: ${data.toString()}`)
  client.close()
})
