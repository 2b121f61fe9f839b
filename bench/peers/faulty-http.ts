// HTTP servers that are wrong in one way each; see faulty-echo.ts.

import { createServer, type AddressInfo, type Socket } from 'node:net'
import { announce, peerOptions } from './support.js'

const { fault } = peerOptions()
const afterRequests = 5000
let seen = 0

const answer = (body: string) =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`

// Each is called once, somewhere in the middle of the load, instead of a plain answer.
const faults: Record<string, (socket: Socket, path: string) => void> = {
  none: (socket, path) => socket.write(answer(path)),
  'another body': (socket, path) => socket.write(answer(path.replace(/.$/, '!'))),
  'a longer body': (socket, path) => socket.write(answer(`${path}!`)),
  'lose an answer': () => undefined,
  'answer twice': (socket, path) => socket.write(answer(path) + answer(path)),
  'a byte too many': (socket, path) => socket.write(`${answer(path)}!`),
  'not a 200': (socket, path) => socket.write(answer(path).replace('200 OK', '500 Oh')),
  'close early': (socket) => socket.end(),
}
const breakOnce = faults[fault]
if (breakOnce === undefined) throw new Error(`no such fault: ${fault}`)

const server = createServer({ noDelay: true }, (socket) => {
  let rest = ''
  socket.on('error', () => socket.destroy())
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    const requests = (rest + chunk).split('\r\n\r\n')
    rest = requests.pop() ?? ''
    for (const request of requests) {
      const path = request.split(' ')[1] ?? ''
      const act = ++seen === afterRequests ? breakOnce : faults['none']
      act?.(socket, path)
    }
  })
})
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  announce((server.address() as AddressInfo).port)
})
