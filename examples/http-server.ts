// node:http on connections of netvc: everything that a http.Server can do, and Express, Fastify or
// Koa with it.
//   npm run example http-server tcp://127.0.0.1:8080
//   curl -d 'some text' http://127.0.0.1:8080/echo

import { createServer } from 'node:http'
import { Reactor } from 'netvc'

const server = createServer((request, response) => {
  if (request.method === 'POST') request.pipe(response)
  else response.end(`hello from ${request.url ?? ''}\n`)
})
// A server that does not listen itself begins to watch over slow requests (headersTimeout,
// requestTimeout) when it is told that it does.
server.emit('listening')

const reactor = new Reactor()
const listener = await reactor.listen(process.argv[2] ?? 'tcp://127.0.0.1:8080', (vc) => {
  server.emit('connection', vc.stream({ allowHalfOpen: true }))
})
console.log(`listening ${listener.addresses.join(' ')}`)

process.once('SIGTERM', () => {
  void listener.close()
  server.close() // idle connections; the others go keepAliveTimeout after their answer
})
