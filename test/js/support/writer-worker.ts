import { Worker } from 'node:worker_threads'
import { frame } from './frames.js'

const dist = new URL('../../../dist/index.js', import.meta.url).href

/** What a worker gets: the connections by id, and which writer it is. */
export interface WriterData {
  id: bigint
  writer?: number
  count?: number
  seed?: number
  [more: string]: unknown
}

/** What a worker begins with; its script is the body of an async function. */
const prelude = `
const { parentPort, workerData } = require('node:worker_threads')
const { id, writer, count, seed } = workerData
const tell = (message) => parentPort.postMessage(message)
const asked = () => new Promise((resolve) => parentPort.once('message', resolve))
${frame.toString()}
let state = seed | 0
/** mulberry32, from min to max, small and large being equally likely. */
const size = (min, max) => {
  state = (state + 0x6d2b79f5) | 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return Math.round(min * (max / min) ** (((t ^ (t >>> 14)) >>> 0) / 4294967296))
}
`

/** A worker without a reactor of its own, which writes to a connection of another thread by id. */
export function startWriter(body: string, data: WriterData): Worker {
  const script = `${prelude}
import(${JSON.stringify(dist)}).then(async ({ Reactor, NetvcError, writeMany }) => {
  const vc = Reactor.address(id)
  ${body}
})`
  return new Worker(script, { eval: true, workerData: data })
}

/** Writes \`count\` messages and waits while too much waits to be sent. */
export const writeAll = `
for (let i = 0; i < count; i++) {
  if (!vc.write(frame(writer, i, size(1, 20000)))) await vc.drained()
}
`
