// An echo server whose bytes JavaScript sees.
//   npm run example echo tcp://127.0.0.1:7000

import { MIOBuffer, Reactor, VCEvent, type VConnection } from 'netvc'

function echo(vc: VConnection): void {
  const buffer = new MIOBuffer()
  const reader = buffer.allocReader()
  let waiting = false
  let ended = false

  // What is not read from the buffer stays there, and once it is full the peer is not read any
  // more: a peer that sends but does not read holds up itself only.
  const answer = () => {
    waiting = reader.readAvail > 0 && !vc.write(reader.read())
    if (waiting) vc.drained().then(answer, () => {})
    else if (ended) vc.doIoClose() // after what was written
  }

  vc.doIoRead(
    (event) => {
      if (event === VCEvent.ERROR) {
        vc.doIoClose()
        return
      }
      ended = event === VCEvent.EOS
      if (!waiting) answer()
    },
    Infinity,
    buffer,
  )
}

const reactor = new Reactor() // inline: JavaScript handles every message anyway
const listener = await reactor.listen(process.argv[2] ?? 'tcp://127.0.0.1:7000', echo)
console.log(`listening ${listener.addresses.join(' ')}`)
