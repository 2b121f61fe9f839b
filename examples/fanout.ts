// Everybody hears everybody: a line that one client sends goes to all of them.
//   npm run example fanout tcp://127.0.0.1:7000
// Try it with two of these:  nc 127.0.0.1 7000

import { MIOBuffer, Reactor, VCEvent, writeMany, type VConnection } from 'netvc'

const newline = 10
const clients = new Set<VConnection>()

function join(vc: VConnection): void {
  clients.add(vc)
  vc.onFailed(() => clients.delete(vc)) // exactly once, however it ends
  vc.maxUnwritten = 1 << 20

  const buffer = new MIOBuffer()
  const reader = buffer.allocReader()
  vc.doIoRead(
    (event) => {
      for (let at; (at = reader.indexOf(newline)) >= 0;) send(reader.read(at + 1))
      if (event !== VCEvent.READ_READY || buffer.highWater) vc.doIoClose() // or too long a line
    },
    Infinity,
    buffer,
  )
}

/** One copy of the line, however many clients have to wait for it. */
function send(line: Buffer): void {
  for (const { id, error } of writeMany(clients, line).refused) {
    // It has not read a megabyte: it goes, rather than that all wait for it.
    if (error.code === 'EOVERCROWDED') Reactor.address(id)?.closeWithReset()
  }
}

const reactor = new Reactor()
const listener = await reactor.listen(process.argv[2] ?? 'tcp://127.0.0.1:7000', join)
console.log(`listening ${listener.addresses.join(' ')}`)
