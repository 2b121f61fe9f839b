import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

import { patternAt, randomSize, Verifier } from './pattern.js'

/** The first bytes of every connection say what follows. */
export interface Job {
  kind: 'stream' | 'echo'
  /** The client's stream; the origin's is another one. */
  stream: number
  /** Bytes from the client, and bytes to it. */
  up: number
  down: number
}

export const headerBytes = 13
export const answerOf = (stream: number) => stream + 17_389

export function encodeJob(job: Job): Buffer {
  const header = Buffer.alloc(headerBytes)
  header.writeUInt8(job.kind === 'stream' ? 1 : 2, 0)
  header.writeUInt32LE(job.stream, 1)
  header.writeUInt32LE(job.up, 5)
  header.writeUInt32LE(job.down, 9)
  return header
}

function decodeJob(header: Buffer): Job {
  const kind = header.readUInt8(0) === 1 ? 'stream' : 'echo'
  const [stream, up, down] = [1, 5, 9].map((at) => header.readUInt32LE(at)) as [
    number,
    number,
    number,
  ]
  return { kind, stream, up, down }
}

/** Sends bytes [from, to) of a stream in pieces of random size, no faster than the peer reads. */
export async function sendPattern(to: Socket, stream: number, from: number, end: number) {
  while (from < end) {
    const piece = patternAt(stream, from, Math.min(end - from, randomSize(128 * 1024)))
    from += piece.length
    if (!to.write(piece)) await once(to, 'drain')
  }
}

/** The server behind the proxies: verifies what comes, and answers. A wrong byte throws. */
export async function startOrigin(failed: (error: Error) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', failed)
    serveJob(socket).catch(failed)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function serveJob(socket: Socket): Promise<void> {
  let head = Buffer.alloc(0)
  while (head.length < headerBytes) {
    const [more] = (await once(socket, 'data')) as [Buffer]
    head = Buffer.concat([head, more])
  }
  const job = decodeJob(head)
  const rest = head.subarray(headerBytes)
  if (job.kind === 'echo') {
    if (rest.length > 0) socket.write(rest)
    socket.on('data', (bytes) => socket.write(bytes)).on('end', () => socket.end())
    return
  }
  const verifier = new Verifier(job.stream, `to the origin, stream ${String(job.stream)}`)
  verifier.take(rest)
  const answer = answerOf(job.stream)
  socket.on('data', (bytes) => verifier.take(bytes))
  const ended = once(socket, 'end').then(() => verifier.ended(job.up))
  // One half at once, against the client's stream; the other when the client has ended its side.
  const half = Math.floor(job.down / 2)
  await Promise.all([ended, sendPattern(socket, answer, 0, half)])
  await sendPattern(socket, answer, half, job.down)
  socket.end()
}
