// What it costs a worker to have a message written to a socket of another thread.
//   --way netvc     by the connection's id: VCHandle.write, socket on one net thread
//   --way post      postMessage to the main thread, which writes it with netvc on the same net thread
//   --workers n, --messages n each
// The peer of the socket checks every message: its bytes and the order of its worker. One line of
// JSON. Time is taken over batches of 64 calls, since reading the clock costs as much as a call.

import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { MIOBuffer, Reactor, type VCHandle, type VConnection } from 'netvc'

const size = 64
const batch = 64

function fill(bytes: Buffer, worker: number, number: number): void {
  bytes.writeUInt32LE(worker, 0)
  bytes.writeUInt32LE(number, 4)
  bytes.fill((worker * 31 + number) & 0xff, 8)
}

async function produce(): Promise<void> {
  const { id, index, messages, way } = workerData as {
    id: bigint
    index: number
    messages: number
    way: string
  }
  const vc = Reactor.address(id) as VCHandle
  parentPort!.postMessage('ready')
  await once(parentPort!, 'message')
  const times: number[] = []
  for (let number = 0; number < messages;) {
    const bytes = Array.from({ length: batch }, (_, i) => {
      const b = Buffer.alloc(size)
      fill(b, index, number + i)
      return b
    })
    const start = process.hrtime.bigint()
    if (way === 'netvc') for (const b of bytes) vc.write(b)
    else for (const b of bytes) parentPort!.postMessage(b)
    times.push(Number(process.hrtime.bigint() - start) / batch)
    number += batch
    // Neither way may run away from the socket.
    if (way === 'netvc') await vc.drained()
    else if (number % (batch * 16) === 0) await once(parentPort!, 'message')
  }
  parentPort!.postMessage({ times })
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      way: { type: 'string', default: 'netvc' },
      workers: { type: 'string', default: '1' },
      messages: { type: 'string', default: '20000' },
    },
  })
  const workers = Number(values.workers)
  const messages = Math.ceil(Number(values.messages) / (batch * 16)) * batch * 16
  const reactor = new Reactor({ threads: 1 })
  const accepted = new Promise<VConnection>((resolve) => {
    void reactor.listen('tcp://127.0.0.1:0', resolve).then(async (l) => {
      peer = await reactor.connect(l.addresses[0])
    })
  })
  let peer: VConnection | undefined
  const vc = await accepted

  const next = new Array<number>(workers).fill(0)
  const wanted = Buffer.alloc(size)
  let seen = 0
  const all = new Promise<void>((resolve, reject) => {
    const buffer = new MIOBuffer({ waterMark: 1 << 20 })
    const reader = buffer.allocReader()
    const take = () => {
      const chunk = reader.read(Math.floor(reader.readAvail / size) * size)
      for (let at = 0; at < chunk.length; at += size) {
        const worker = chunk.readUInt32LE(at)
        fill(wanted, worker, next[worker]++)
        if (wanted.compare(chunk, at, at + size) !== 0) return reject(new Error('wrong message'))
        if (++seen === workers * messages) resolve()
      }
    }
    const start = () => {
      if (peer) peer.doIoRead(take, Infinity, buffer)
      else setImmediate(start)
    }
    start()
  })

  const threads = Array.from(
    { length: workers },
    (_, index) =>
      new Worker(new URL(import.meta.url), {
        workerData: { id: vc.id, index, messages, way: values.way },
      }),
  )
  await Promise.all(threads.map((t) => once(t, 'message')))
  const times: number[] = []
  const began = performance.now()
  const finished = threads.map(
    (t) =>
      new Promise<void>((resolve) => {
        let n = 0
        t.on('message', (m: Uint8Array | { times: number[] }) => {
          if (!(m instanceof Uint8Array)) {
            times.push(...m.times)
            resolve()
            return
          }
          vc.write(m)
          if (++n % (batch * 16) === 0) void vc.drained().then(() => t.postMessage('go on'))
        })
        t.postMessage('go')
      }),
  )
  await Promise.all(finished)
  await all
  const seconds = (performance.now() - began) / 1000
  times.sort((a, b) => a - b)
  const at = (q: number) => times[Math.min(times.length - 1, Math.floor(q * times.length))]
  const { bytesWritten, writeCalls } = reactor.stats()
  console.log(
    JSON.stringify({
      medianNs: at(0.5),
      p99Ns: at(0.99),
      perWritev: bytesWritten / size / writeCalls,
      messagesPerSecond: (workers * messages) / seconds,
    }),
  )
  await Promise.all(threads.map((t) => t.terminate()))
  await reactor.close()
}

await (isMainThread ? main() : produce())
