import { once } from 'node:events'
import { Agent, createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect, createServer as createNetServer } from 'netvc/net'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'

import { pattern } from '../js/support/pattern.js'
import { finally_ } from './support/cleanup.js'

/** A http.Server whose connections come from netvc/net, and its port. */
async function serve(http = createServer()): Promise<number> {
  const server = createNetServer({ allowHalfOpen: true }, (socket) => {
    http.emit('connection', socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  finally_(() => server.close())
  finally_(() => http.closeAllConnections())
  return (server.address() as AddressInfo).port
}

test('http.Agent', async () => {
  let connections = 0
  const http = createServer((request, response) => response.end(request.url))
  http.on('connection', () => connections++)
  const port = await serve(http)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  finally_(() => agent.destroy())
  agent.createConnection = (options) => connect({ host: 'localhost', port: Number(options.port) })
  for (let i = 0; i < 100; i++) {
    const sent = get({ agent, host: '127.0.0.1', port, path: `/${String(i)}` })
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    expect(await text(answer)).toBe(`/${String(i)}`)
  }
  expect(connections).toBe(1)
})

test('ws, at both ends', async () => {
  const http = createServer()
  const server = new WebSocketServer({ server: http })
  server.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }))
  })
  const port = await serve(http)
  const client = new WebSocket(`ws://127.0.0.1:${String(port)}`, { createConnection: connect })
  finally_(() => client.terminate())
  await once(client, 'open')
  for (const size of [0, 1, 70_000, 3_000_000]) {
    client.send(pattern(size))
    const [echo] = (await once(client, 'message')) as [Buffer]
    expect(echo.equals(pattern(size))).toBe(true)
  }
})
