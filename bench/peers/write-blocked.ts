// How much memory a peer that never reads can make netvc hold: two workers write 1 KiB messages by
// id until they are refused. One line of JSON: bytes that waited, and what resident memory grew by.

import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Reactor, type VCHandle, type VConnection } from 'netvc'

if (isMainThread) {
  const reactor = new Reactor({ threads: 1 })
  let accept!: (vc: VConnection) => void
  const accepted = new Promise<VConnection>((resolve) => (accept = resolve))
  const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => accept(vc))
  const reader = await reactor.connect(listener.addresses[0]) // and never reads
  const vc = await accepted
  const workers = [0, 1].map(() => new Worker(new URL(import.meta.url), { workerData: vc.id }))
  await Promise.all(workers.map((w) => once(w, 'message')))
  const before = process.memoryUsage.rss()
  for (const w of workers) w.postMessage('go')
  const [a, b] = await Promise.all(workers.map((w) => once(w, 'message')))
  console.log(
    JSON.stringify({
      cap: vc.maxUnwritten,
      waiting: vc.writableLength,
      grown: process.memoryUsage.rss() - before,
      refusedWith: [a[0], b[0]],
    }),
  )
  await Promise.all(workers.map((w) => w.terminate()))
  vc.closeWithReset()
  reader.doIoClose()
  await reactor.close()
} else {
  const vc = Reactor.address(workerData as bigint) as VCHandle
  const bytes = Buffer.alloc(1024, 'x')
  parentPort!.postMessage('ready')
  await once(parentPort!, 'message')
  try {
    for (;;) vc.write(bytes)
  } catch (error) {
    parentPort!.postMessage((error as { code: string }).code)
  }
}
