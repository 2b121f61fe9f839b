// Echo with vc.stream(), written as node-echo.ts is.
//   --threads n  0: inline on the JavaScript thread; n: sockets live on n net threads

import { Reactor } from 'netvc'
import { announce, peerOptions } from './support.js'

const reactor = new Reactor({ threads: peerOptions().threads })
const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
  const stream = vc.stream()
  stream.on('error', () => stream.destroy())
  stream.on('data', (chunk: Buffer) => {
    if (stream.write(chunk)) return
    stream.pause()
    stream.once('drain', () => stream.resume())
  })
})
announce(new URL(String(listener.addresses[0])).port)
