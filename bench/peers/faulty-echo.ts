// Echo servers that are wrong in one way each. selftest.ts proves with them that the
// generator notices; a generator that always agrees measures nothing.

import { createServer, type AddressInfo, type Socket } from 'node:net'
import { announce, peerOptions } from './support.js'

const { fault } = peerOptions()
const afterBytes = 1_000_000
let seen = 0
let done = false
let elsewhere: Socket | undefined

// Each is called once, somewhere in the middle of the load, instead of a plain write.
const faults: Record<string, (socket: Socket, chunk: Buffer) => void> = {
  none: (socket, chunk) => socket.write(chunk),
  'flip one bit': (socket, chunk) => {
    chunk[chunk.length - 1] ^= 1
    socket.write(chunk)
  },
  'lose one byte': (socket, chunk) => socket.write(chunk.subarray(1)),
  'lose a message': () => undefined,
  'send a message twice': (socket, chunk) => {
    socket.write(chunk)
    socket.write(chunk)
  },
  'answer on another connection': (_socket, chunk) => elsewhere?.write(chunk),
  reset: (socket) => socket.resetAndDestroy(),
  'close early': (socket) => socket.end(),
}
const breakOnce = faults[fault]
if (breakOnce === undefined) throw new Error(`no such fault: ${fault}`)

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    seen += chunk.length
    if (seen > afterBytes && !done && elsewhere !== undefined && elsewhere !== socket) {
      done = true
      breakOnce(socket, chunk)
      return
    }
    elsewhere = socket
    socket.write(chunk)
  })
})
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  announce((server.address() as AddressInfo).port)
})
