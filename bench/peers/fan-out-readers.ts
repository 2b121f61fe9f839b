// The subscribers of fan-out.ts: fan-out-readers.js <port> <connections>. Checks every byte, writes
// one to standard output when all have a round, ends with the server; exit code 1 if any was wrong.

import { connect } from 'node:net'
import { message, messageBytes } from './fan-out-message.js'

const [port, connections] = process.argv.slice(2).map(Number) as [number, number]
const wanted = new Map<number, Buffer>()
let missing = connections

for (let i = 0; i < connections; i++) {
  let round = 0
  let at = 0
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    for (let from = 0; from < chunk.length;) {
      let now = wanted.get(round)
      if (!now) wanted.set(round, (now = message(round)))
      const n = Math.min(chunk.length - from, messageBytes - at)
      if (now.compare(chunk, from, from + n, at, at + n) !== 0) {
        console.error('a subscriber got wrong bytes')
        process.exit(1)
      }
      from += n
      at += n
      if (at < messageBytes) continue
      at = 0
      round++
      if (--missing > 0) continue
      missing = connections
      process.stdout.write('.')
    }
  })
}
