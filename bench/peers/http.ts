// The HTTP server that all peers of the suite "http" have: only where its connections come from
// differs.

import { createServer, type Server } from 'node:http'

export function createHttpServer(): Server {
  return createServer({ noDelay: true }, (request, response) => {
    const body = request.url ?? ''
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': body.length })
    response.end(body)
  })
}
