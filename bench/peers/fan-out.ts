// One message to many connections, again and again: the server's CPU per delivery.
//   --way netvc | node, --connections n, --rounds n
// The subscribers are a process of their own (fan-out-readers.ts), which checks every byte and says
// by a byte on its standard output that all of them have a round. One line of JSON.

import { spawn } from 'node:child_process'
import { createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Reactor, writeMany, type VConnection } from 'netvc'
import { message } from './fan-out-message.js'

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

let port: number
let send: (bytes: Buffer) => void
let stop: () => unknown
let ready: () => boolean
if (values.way === 'netvc') {
  const reactor = new Reactor()
  const subscribers: VConnection[] = []
  const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
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
  { stdio: ['ignore', 'pipe', 'inherit'] },
)
while (!ready()) await new Promise((resolve) => setTimeout(resolve, 5))

let user = 0
let system = 0
for (let round = 0; round < warmup + rounds; round++) {
  const everybody = once(readers.stdout, 'data')
  const bytes = message(round)
  const before = process.cpuUsage()
  send(bytes)
  await everybody
  const used = process.cpuUsage(before)
  if (round < warmup) continue
  user += used.user
  system += used.system
}
const per = (micros: number) => micros / rounds / connections
console.log(JSON.stringify({ cpuUs: per(user + system), systemUs: per(system) }))
await stop()
if (readers.exitCode === null) await once(readers, 'exit')
process.exitCode = readers.exitCode ?? 1
