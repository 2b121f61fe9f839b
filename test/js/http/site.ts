import { Agent, createServer, type ClientRequestArgs, type Server } from 'node:http'
import { Readable, type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { World } from '../support/fixture.js'
import { pattern, PatternChecker } from '../support/pattern.js'

/** n bytes of the pattern in so many pieces. */
export function* pieces(n: number, from: number, count: number): Generator<Buffer> {
  const size = Math.ceil(n / count)
  for (let at = 0; at < n; at += size) yield pattern(Math.min(size, n - at), from + at)
}

/** What /down is asked for. */
export interface Wanted {
  n: number
  from: number
  count: number
  /** Content-Length instead of chunks. */
  length: boolean
  /** The server destroys the answer after so many pieces. */
  abort?: number
}

export const downPath = (wanted: Wanted) => `/down?${encodeURIComponent(JSON.stringify(wanted))}`

function* until(stop: () => void, abort: number, list: Iterable<Buffer>): Generator<Buffer> {
  let i = 0
  for (const piece of list) {
    if (i++ === abort) stop()
    yield piece
  }
}

/**
 * GET /down?{...}: the pattern. POST /up?from: reads and checks it, and answers with the number of
 * bytes. POST /echo: sends back what comes.
 */
export function createSite(): Server {
  const server = createServer((request, response) => {
    const [path, query = ''] = (request.url ?? '').split('?')
    const serve = async () => {
      if (path === '/down') {
        const { n, from, count, length, abort } = JSON.parse(decodeURIComponent(query)) as Wanted
        if (length) response.setHeader('content-length', n)
        const stop = () => response.destroy()
        await pipeline(Readable.from(until(stop, abort ?? -1, pieces(n, from, count))), response)
      } else if (path === '/up') {
        const checker = new PatternChecker(Number(query))
        for await (const bytes of request) checker.take(bytes as Buffer)
        response.end(String(checker.count))
      } else {
        await pipeline(request, response)
      }
    }
    // An aborted one; that it is the client's doing is what the test knows.
    serve().catch(() => response.destroy())
  })
  server.keepAliveTimeout = 0 // a connection that just goes would fail a request
  return server
}

/** A http.Agent and a http.Server, and between them connections of the world on both sides. */
export async function startSite(world: World) {
  const site = createSite()
  const streams = { opened: 0, closed: 0 }
  const count = (stream: Duplex) => {
    streams.opened++
    stream.once('close', () => streams.closed++)
    return stream
  }
  const listener = await world.reactor.listen('tcp://127.0.0.1:0', (vc) => {
    site.emit('connection', count(vc.stream({ allowHalfOpen: true })))
  })
  const open = async () => count((await world.reactor.connect(listener.addresses[0])).stream())
  class StreamAgent extends Agent {
    override createConnection(
      _: ClientRequestArgs,
      done?: (error: Error | null, stream: Duplex) => void,
    ): undefined {
      void open().then((stream) => done?.(null, stream))
    }
  }
  return { site, streams, open, agent: new StreamAgent({ keepAlive: true, maxSockets: 12 }) }
}
