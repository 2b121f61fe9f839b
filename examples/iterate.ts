// An echo server of loops instead of handlers. So many clients are served at once; the rest waits in
// the kernel's queue, since a listener accepts only while a loop asks for the next one.
//   npm run example iterate tcp://127.0.0.1:7000 2

import { Reactor, type VConnection } from 'netvc'

async function echo(vc: VConnection): Promise<void> {
  for await (const chunk of vc) {
    if (!vc.write(chunk)) await vc.drained() // meanwhile the peer is not read
  }
  vc.doIoClose() // after what was written
}

const reactor = new Reactor()
const listener = await reactor.listen(process.argv[2] ?? 'tcp://127.0.0.1:7000')
console.log(`listening ${listener.addresses.join(' ')}`)

const atOnce = Number(process.argv[3] ?? 2)
for (let i = 0; i < atOnce; i++) void serve()

async function serve(): Promise<void> {
  for await (const vc of listener) await echo(vc).catch(() => vc.doIoClose())
}
