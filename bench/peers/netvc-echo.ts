// Echo with netvc.
//   --threads n  0: inline on the JavaScript thread; n: sockets live on n net threads
//   --borrow     answer with borrowed views instead of copies
//   --each 64    parse 64-byte messages and answer each with its own write

import { MIOBuffer, Reactor, VCEvent, type VConnection } from 'netvc'
import { announce, messageSplitter, peerOptions } from './support.js'

const { borrow, each, threads } = peerOptions()

function echo(vc: VConnection): void {
  const buffer = new MIOBuffer()
  const reader = buffer.allocReader()
  const answer =
    each > 0
      ? messageSplitter(each, (message) => vc.write(message))
      : (bytes: Buffer) => vc.write(bytes)
  const vio = vc.doIoRead(
    (event) => {
      if (event !== VCEvent.READ_READY) {
        vc.doIoClose()
        return
      }
      if (borrow) {
        for (let bytes; (bytes = reader.borrow()).length > 0; reader.consume(bytes.length)) {
          answer(bytes)
        }
      } else {
        answer(reader.read())
      }
      vio.reenable()
    },
    Infinity,
    buffer,
  )
}

const reactor = new Reactor({ threads })
const listener = await reactor.listen('tcp://127.0.0.1:0', echo)
announce(new URL(String(listener.addresses[0])).port)
