// Echo with node:net, as one writes it: 'data' and write().
//   --each 64   parse 64-byte messages and answer each with its own write
//   --cork      with --each: cork the socket while one chunk is answered
//   --net netvc/net  the same program on netvc

import type { AddressInfo, Socket } from 'node:net'
import { announce, messageSplitter, peerOptions } from './support.js'

const { each, cork, net } = peerOptions()

function echoChunks(socket: Socket): void {
  socket.on('data', (chunk: Buffer) => {
    if (socket.write(chunk)) return
    socket.pause()
    socket.once('drain', () => socket.resume())
  })
}

function answerEach(socket: Socket): void {
  const feed = messageSplitter(each, (message) => socket.write(message))
  socket.on('data', (chunk: Buffer) => {
    if (cork) socket.cork()
    feed(chunk)
    if (cork) socket.uncork()
  })
}

const { createServer } = await net
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy())
  if (each > 0) answerEach(socket)
  else echoChunks(socket)
})
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  announce((server.address() as AddressInfo).port)
})
