import { MIOBuffer, Reactor, VCEvent, type VConnection } from '../index.js'
import type { ServeOptions } from './options.js'
import { Clients, type Service } from './service.js'

/** Sends everything back. No byte is copied: both operations work on one buffer. */
export async function echoService(addresses: string[], options: ServeOptions): Promise<Service> {
  const reactor = new Reactor({ threads: options.threads })
  const clients = new Clients()
  const listener = await reactor.listen(addresses, (vc) => {
    clients.opened()
    echo(vc, () => clients.closed())
  })
  const counters = () => {
    const { open, accepted } = clients
    const { bytesRead: bytesIn, bytesWritten: bytesOut } = reactor.stats()
    return { open, accepted, failed: 0, bytesIn, bytesOut }
  }
  return { reactor, listener, clients, counters, ends: new Map() }
}

function echo(vc: VConnection, closed: () => void): void {
  const buffer = new MIOBuffer()
  const reader = buffer.allocReader()
  let ended = false
  const close = () => {
    vc.doIoClose()
    buffer.free()
    closed()
  }
  const write = vc.doIoWrite(
    (event) => {
      if (event !== VCEvent.WRITE_READY) close()
      else if (!ended) read.reenable()
      else if (reader.readAvail === 0) close()
      else write.reenable() // to be told again when these are out
    },
    Infinity,
    reader,
  )
  const read = vc.doIoRead(
    (event) => {
      if (event === VCEvent.READ_READY) {
        write.reenable()
      } else if (event === VCEvent.EOS && vc.error === undefined && reader.readAvail > 0) {
        ended = true
        write.reenable()
      } else {
        close()
      }
    },
    Infinity,
    buffer,
  )
}
