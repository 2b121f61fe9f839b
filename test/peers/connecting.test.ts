import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'

import { pattern } from '../js/support/pattern.js'
import { finally_ } from './support/cleanup.js'
import { Cli } from './support/cli.js'
import { connect, Upstream } from './support/sockets.js'

/**
 * An upstream that does not answer connects until it is released: a thread that listens with the
 * shortest queue, and sleeps. Connects beyond the queue get no answer from the kernel.
 */
async function startBusyUpstream() {
  const gate = new Int32Array(new SharedArrayBuffer(4))
  const source = `
    const { workerData, parentPort } = require('node:worker_threads')
    const { createServer } = require('node:net')
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const chunks = []
      socket.on('error', () => {})
      socket.on('data', (bytes) => chunks.push(bytes))
      socket.on('end', () => {
        parentPort.postMessage({ received: Buffer.concat(chunks) })
        socket.end('seen ' + Buffer.concat(chunks).length)
      })
      socket.on('close', () => parentPort.postMessage({ closed: true }))
    })
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port)
      setImmediate(() => Atomics.wait(workerData, 0, 0))
    })`
  const worker = new Worker(source, { eval: true, workerData: gate })
  const release = () => {
    Atomics.store(gate, 0, 1)
    Atomics.notify(gate, 0)
  }
  finally_(() => {
    release()
    return worker.terminate()
  })
  const [port] = (await once(worker, 'message')) as [number]
  const messages: { received?: Uint8Array }[] = []
  worker.on('message', (message: object) => messages.push(message))
  return { port, release, worker, messages }
}

test('what the client sends before the upstream answers is not lost', async () => {
  const upstream = await startBusyUpstream()
  const fillers = await Promise.all([connect(upstream.port), connect(upstream.port)])
  const cli = await Cli.proxyTo(upstream.port)
  const client = await connect(cli.port)
  client.socket.end(pattern(100_000)) // and its FIN
  const patient = await connect(cli.port)
  patient.socket.write('first')

  for (const filler of fillers) filler.socket.destroy()
  upstream.release()
  await client.ended // after the kernel's second try, a second later
  expect(client.text).toBe('seen 100000')
  const whole = upstream.messages.find((m) => m.received?.length === 100_000)
  expect(Buffer.from(whole?.received ?? []).equals(pattern(100_000))).toBe(true)
  patient.socket.end(' second')
  await patient.ended
  expect(patient.text).toBe('seen 12')
})

test('a client that goes while the upstream is connected leaves nothing behind', async () => {
  const upstream = await startBusyUpstream()
  const fillers = await Promise.all([connect(upstream.port), connect(upstream.port)])
  const cli = await Cli.proxyTo(upstream.port, '--interval', '1')
  const [polite, rude] = [await connect(cli.port), await connect(cli.port)]
  polite.socket.destroy() // FIN
  rude.socket.write('x')
  rude.reset()
  for (const filler of fillers) filler.socket.destroy()
  upstream.release()
  await cli.printed(/^0 open, 2 in all/m)
  expect(cli.stderr).toBe('')
})

test('many clients that send with their first packet, and both ends check every byte', async () => {
  const upstream = await Upstream.start()
  upstream.server.on('connection', (socket) => socket.pipe(socket))
  const cli = await Cli.proxyTo(upstream.port, '--threads', '2')
  const sizes = Array.from({ length: 60 }, (_, i) => 1 + i * 7_001)
  await Promise.all(
    sizes.map(async (size, i) => {
      const client = await connect(cli.port)
      client.socket.end(pattern(size, i))
      await client.ended
      expect(Buffer.concat(client.chunks).equals(pattern(size, i))).toBe(true)
    }),
  )
  expect(await cli.terminate()).toBe(0)
})
