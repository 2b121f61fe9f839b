// Connections spread over worker threads, which may end at any time: another one goes on.
//   npm run example workers tcp://127.0.0.1:7000 4
// Every line is answered with the number of a thread. kill -USR2 ends one of them.

import { once } from 'node:events'
import { isMainThread, parentPort, threadId, Worker } from 'node:worker_threads'
import { MIOBuffer, Reactor, VCEvent, type VConnection } from 'netvc'

const newline = 10

function serve(vc: VConnection): void {
  const buffer = new MIOBuffer()
  const reader = buffer.allocReader()
  vc.doIoRead(
    (event) => {
      for (let at; (at = reader.indexOf(newline)) >= 0;)
        vc.write(`${String(threadId)} ${reader.read(at + 1).toString()}`)
      if (event !== VCEvent.READ_READY || buffer.highWater) vc.doIoClose() // or too long a line
    },
    Infinity,
    buffer,
  )
}

const reactor = Reactor.shared() // the same net threads for all
if (isMainThread) {
  const [address = 'tcp://127.0.0.1:7000', count = '4'] = process.argv.slice(2)
  const workers: Worker[] = []

  const start = async () => {
    const worker = new Worker(new URL(import.meta.url))
    workers.push(worker)
    worker.on('message', adopt) // it has registered
    worker.on('exit', () => {
      workers.splice(workers.indexOf(worker), 1)
      console.log('a worker has ended')
      void start()
    })
    await once(worker, 'message')
  }
  /** Gives the connections of workers that have gone to those that are there. */
  const adopt = () => {
    const registered = reactor.workers().filter((worker) => worker.registered)
    if (registered.length === 0) return
    for (const [i, id] of reactor.parked().entries()) {
      try {
        Reactor.address(id)?.assign(registered[i % registered.length].threadId)
      } catch {
        // That one has just ended as well: the next one that registers gets it.
      }
    }
  }
  reactor.onParked(adopt)
  await Promise.all(Array.from({ length: Number(count) }, start))
  process.on('SIGUSR2', () => workers[0]?.postMessage('end'))

  // This thread serves those that come while there is no worker.
  const listener = await reactor.listen(address, serve, { distribute: 'round-robin' })
  console.log(`listening ${listener.addresses.join(' ')}`)
} else {
  reactor.register(serve, { onExit: 'park' })
  parentPort!.on('message', () => process.exit())
  parentPort!.postMessage('ready')
}
