// One message to many connections, again and again: the server's CPU per delivery.
//   --way netvc | node, --connections n, --rounds n
// The subscribers are a process of their own (fan-out-readers.ts), which checks every byte and
// answers each round with one byte, so that a round is over when everybody has it. One line of JSON.

import { spawn } from 'node:child_process'
import { createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { MIOBuffer, Reactor, writeMany, type VConnection } from 'netvc'
import { message, messageBytes } from './fan-out-message.js'

const { values } = parseArgs({
  options: {
    way: { type: 'string', default: 'netvc' },
    connections: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '60' },
  },
})
const connections = Number(values.connections)
const rounds = Number(values.rounds)
const warmup = 10

let heard = 0
let allHeard: () => void = () => {}
const answered = (n: number) => {
  if ((heard += n) === connections) allHeard()
}

let port: number
let send: (bytes: Buffer) => void
let stop: () => unknown
let ready: () => boolean
if (values.way === 'netvc') {
  const reactor = new Reactor()
  const subscribers: VConnection[] = []
  const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
    const buffer = new MIOBuffer({ blockSize: 128 })
    const reader = buffer.allocReader()
    vc.doIoRead(
      () => {
        const n = reader.readAvail
        reader.consume(n)
        answered(n)
      },
      Infinity,
      buffer,
    )
    subscribers.push(vc)
  })
  port = Number(listener.addresses[0].split(':').pop())
  send = (bytes) => {
    if (writeMany(subscribers, bytes).accepted !== connections) throw new Error('refused')
  }
  ready = () => subscribers.length === connections
  stop = () => reactor.close()
} else {
  const subscribers: Socket[] = []
  const server = createServer((socket) => {
    socket.setNoDelay(true)
    socket.on('data', (chunk) => answered(chunk.length))
    socket.on('error', () => {})
    subscribers.push(socket)
  })
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')
  port = (server.address() as { port: number }).port
  send = (bytes) => {
    for (const socket of subscribers) socket.write(bytes)
  }
  ready = () => subscribers.length === connections
  stop = () => {
    for (const socket of subscribers) socket.destroy()
    server.close()
  }
}

const readers = spawn(
  process.execPath,
  [
    fileURLToPath(new URL('fan-out-readers.js', import.meta.url)),
    String(port),
    String(connections),
  ],
  { stdio: ['ignore', 'ignore', 'inherit'] },
)
while (!ready()) await new Promise((resolve) => setTimeout(resolve, 5))

let micros = 0
for (let round = 0; round < warmup + rounds; round++) {
  heard = 0
  const everybody = new Promise<void>((resolve) => (allHeard = resolve))
  const bytes = message(round)
  const before = process.cpuUsage()
  send(bytes)
  await everybody
  const used = process.cpuUsage(before)
  if (round >= warmup) micros += used.user + used.system
}
console.log(
  JSON.stringify({ cpuPerDelivery: micros / rounds / connections, messageBytes, connections }),
)
await stop()
if (readers.exitCode === null) await once(readers, 'exit')
process.exitCode = readers.exitCode ?? 1
