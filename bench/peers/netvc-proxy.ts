// TCP proxy with netvc: JavaScript connects and joins, native code carries the bytes.
//   --threads n  net threads (the suite uses 1)

import { Reactor, tunnel, type VConnection } from 'netvc'
import { announce, peerOptions } from './support.js'

const { to, threads } = peerOptions()
const reactor = new Reactor({ threads })

async function forward(client: VConnection): Promise<void> {
  try {
    const upstream = await reactor.connect(`tcp://${to.host}:${to.port}`)
    await tunnel(client, upstream).closed
  } catch {
    client.doIoClose()
  }
}

const listener = await reactor.listen('tcp://127.0.0.1:0', (client) => void forward(client))
announce(new URL(String(listener.addresses[0])).port)
