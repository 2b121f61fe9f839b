import { Worker } from 'node:worker_threads'

const dist = new URL('../../../dist/index.js', import.meta.url).href

/** What a worker begins with; its script is the body of an async function. */
const prelude = `
const { parentPort, workerData } = require('node:worker_threads')
const { threads, address } = workerData
const tell = (message) => parentPort.postMessage(message)
const send = (vc) => {
  const buffer = new MIOBuffer(), reader = buffer.allocReader()
  const more = () => buffer.write(Buffer.alloc(20_000))
  more()
  vc.doIoWrite((event) => event === VCEvent.WRITE_READY && more(), Infinity, reader)
}
const receive = (vc, handler = () => {}) => {
  const buffer = new MIOBuffer(), reader = buffer.allocReader()
  vc.doIoRead((event) => { reader.consume(reader.readAvail); handler(event) }, Infinity, buffer)
}
/** A connection within the worker that is busy in both directions; handler is told of its reads. */
const traffic = async (reactor, handler) => {
  const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => { send(vc); receive(vc) })
  const vc = await reactor.connect(listener.addresses[0])
  send(vc)
  await new Promise((resolve) => receive(vc, () => { resolve(); handler?.() }))
}
`

/** A worker thread with netvc in it, and nobody else's listeners on it. */
export function startWorker(body: string, data: { threads: number; address?: string }): Worker {
  const script = `${prelude}
import(${JSON.stringify(dist)}).then(async ({ Reactor, MIOBuffer, VCEvent, tunnel }) => {
  globalThis.MIOBuffer = MIOBuffer
  globalThis.VCEvent = VCEvent
  ${body}
})`
  return new Worker(script, { eval: true, workerData: data })
}

/** How a worker ended: its exit code, what it told before, and the error that ended it. */
export function ended(worker: Worker): Promise<{ code: number; told: unknown[]; error?: Error }> {
  const told: unknown[] = []
  let error: Error | undefined
  worker.on('message', (message) => told.push(message))
  worker.on('error', (e: Error) => (error = e))
  return new Promise((resolve) => {
    worker.on('exit', (code) => resolve(error ? { code, told, error } : { code, told }))
  })
}
