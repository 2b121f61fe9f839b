// Several protocols on one port: looks at the first four bytes, chooses an upstream, hands them on,
// and leaves. From then on JavaScript is not involved.
//   npm run example peek tcp://127.0.0.1:8443 tcp://127.0.0.1:22 tcp://127.0.0.1:443 tcp://127.0.0.1:80
//                        listen               for SSH            for TLS             for the rest

import { MIOBuffer, Reactor, tunnel, VCEvent, type VConnection } from 'netvc'

const [listen, ssh, tls, other] = process.argv.slice(2)
if (!listen || !ssh || !tls || !other) throw new Error('usage: peek <listen> <ssh> <tls> <other>')

function choose(first: Buffer): string {
  if (first.toString('latin1') === 'SSH-') return ssh
  return first[0] === 0x16 ? tls : other // a TLS handshake record
}

async function handOn(client: VConnection, first: Buffer): Promise<void> {
  try {
    const server = await reactor.connect(choose(first))
    server.write(first) // leaves before anything that the tunnel reads
    tunnel(client, server)
  } catch {
    client.doIoClose()
  }
}

const reactor = new Reactor({ threads: 1 })
const listener = await reactor.listen(listen, (client) => {
  const buffer = new MIOBuffer({ blockSize: 128 })
  const reader = buffer.allocReader()
  // Exactly four bytes: after READ_COMPLETE nothing more is read, the rest waits in the kernel.
  client.doIoRead(
    (event) => {
      if (event === VCEvent.READ_COMPLETE) void handOn(client, reader.read())
      else if (event !== VCEvent.READ_READY) client.doIoClose()
    },
    4,
    buffer,
  )
})
console.log(`listening ${listener.addresses.join(' ')}`)
