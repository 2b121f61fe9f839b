// An echo server without a copy: a read and a write operation on one buffer.
//   npm run example vio-echo tcp://127.0.0.1:7000
//
//   socket -> read VIO -> MIOBuffer -> reader -> write VIO -> socket
//
// The buffer is bounded by its water mark, so a peer that does not read is not read either.

import { MIOBuffer, Reactor, VCEvent, type VConnection } from 'netvc'

function echo(vc: VConnection): void {
  const buffer = new MIOBuffer()
  const reader = buffer.allocReader()
  let ended = false

  const write = vc.doIoWrite(
    (event) => {
      if (event !== VCEvent.WRITE_READY) vc.doIoClose()
      else if (!ended)
        read.reenable() // there may be room again
      else if (reader.readAvail === 0) vc.doIoClose()
      else write.reenable() // tell me again when these have left
    },
    Infinity,
    reader,
  )

  const read = vc.doIoRead(
    (event) => {
      ended = event === VCEvent.EOS && vc.error === undefined
      if (event === VCEvent.READ_READY || (ended && reader.readAvail > 0)) write.reenable()
      else vc.doIoClose()
    },
    Infinity,
    buffer,
  )
}

const reactor = new Reactor()
const listener = await reactor.listen(process.argv[2] ?? 'tcp://127.0.0.1:7000', echo)
console.log(`listening ${listener.addresses.join(' ')}`)
