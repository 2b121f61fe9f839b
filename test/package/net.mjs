// netvc/net in the place of node:net, and plain HTTP over its sockets. The process has to end by
// itself when the servers are closed.
import assert from 'node:assert'
import { once } from 'node:events'
import http from 'node:http'
import { createRequire } from 'node:module'
import net, { connect, createServer } from 'netvc/net'

assert.equal(createRequire(import.meta.url)('netvc/net').createServer, createServer)
assert.equal(net.connect, connect)

const server = createServer((socket) => socket.pipe(socket))
await once(server.listen(0, '127.0.0.1'), 'listening')
const client = connect(server.address().port, '127.0.0.1')
client.end('echo')
assert.equal((await client.setEncoding('utf8').toArray()).join(''), 'echo')
server.close()

const site = http.createServer((request, response) => response.end(request.url))
const front = createServer((socket) => site.emit('connection', socket))
await once(front.listen(0, '127.0.0.1'), 'listening')
const { port } = front.address()
const createConnection = () => connect(port, '127.0.0.1')
const [response] = await once(http.get({ port, path: '/path', createConnection }), 'response')
assert.equal((await response.setEncoding('utf8').toArray()).join(''), '/path')
front.close()
console.log('as node:net')
