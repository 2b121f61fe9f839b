import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import { answerOf, encodeJob, sendPattern } from './origin.js'
import { patternAt, randomSize, Verifier } from './pattern.js'

/** What one run moved, after all of it was verified. */
export interface Moved {
  bytes: number
  messages: number
}

let streams = 0

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** Both directions at once, in pieces of random size; the client ends first, the answer goes on. */
async function stream(port: number, size: number): Promise<Moved> {
  const socket = await open(port)
  const own = ++streams * 7919
  const up = size + randomSize(64 * 1024)
  const down = size + randomSize(64 * 1024)
  const verifier = new Verifier(answerOf(own), `to the client, stream ${String(own)}`)
  const received = new Promise<void>((resolve, reject) => {
    socket.on('data', (bytes) => verifier.take(bytes))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the proxy closed a connection too early')))
    socket.on('end', resolve)
  })
  socket.write(encodeJob({ kind: 'stream', stream: own, up, down }))
  const sent = sendPattern(socket, own, 0, up).then(() => socket.end())
  await Promise.all([sent, received])
  verifier.ended(down)
  return { bytes: up + down, messages: 0 }
}

/** Small messages, each answered before the next is sent. */
async function messages(port: number, n: number, size: number): Promise<Moved> {
  const socket = await open(port)
  const own = ++streams * 7919
  const verifier = new Verifier(own, `echo, stream ${String(own)}`)
  socket.write(encodeJob({ kind: 'echo', stream: own, up: 0, down: 0 }))
  await new Promise<void>((resolve, reject) => {
    const next = () => socket.write(patternAt(own, verifier.position, size))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the proxy closed a connection too early')))
    socket.on('end', () => resolve())
    socket.on('data', (bytes) => {
      verifier.take(bytes)
      if (verifier.position === n * size) socket.end()
      else if (verifier.position % size === 0) next()
    })
    next()
  })
  verifier.ended(n * size)
  return { bytes: 2 * n * size, messages: n }
}

async function all(clients: number, one: () => Promise<Moved>): Promise<Moved> {
  const parts = await Promise.all(Array.from({ length: clients }, one))
  return parts.reduce((a, b) => ({ bytes: a.bytes + b.bytes, messages: a.messages + b.messages }))
}

export const loads = {
  streams: {
    text: '8 connections, 16 MiB each way at once, pieces of random size, half-close',
    run: (port: number) => all(8, () => stream(port, 16 * 1024 * 1024)),
  },
  messages: {
    text: '64 connections, 300 messages of 64 bytes each, one by one',
    run: (port: number) => all(64, () => messages(port, 300, 64)),
  },
}
export type LoadName = keyof typeof loads
