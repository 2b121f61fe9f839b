// Two ends joined within one process: what bytes and small messages cost between them. Every byte
// is checked. One line of JSON.
//   --way pair | pair-borrow | pair-stream | passthrough | duplexpair | socket

import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { duplexPair, PassThrough, type Readable, type Writable } from 'node:stream'
import { parseArgs } from 'node:util'
import { MIOBuffer, Reactor, VCEvent, type VConnection } from 'netvc'

const { values } = parseArgs({
  options: {
    way: { type: 'string', default: 'pair' },
    bytes: { type: 'string', default: String(1 << 30) },
    messages: { type: 'string', default: '1000000' },
    turns: { type: 'string', default: '100000' },
  },
})

const period = 65521 // a prime: a piece that is lost or doubled shows
const bulkSize = 64 * 1024
const smallSize = 64
const table = Buffer.alloc(2 * period + bulkSize)
let state = 1
for (let i = 0; i < table.length; i++) {
  if (i < period) state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  table[i] = i < period ? state >>> 24 : table[i - period]
}

interface End {
  /** False: wait for drained(). */
  write: (bytes: Buffer) => boolean
  drained: () => Promise<unknown>
  /** Who is given what comes. */
  receive: (take: (bytes: Buffer) => void) => void
}

function streamEnd(out: Writable, incoming: Readable): End {
  return {
    write: (bytes) => out.write(bytes),
    drained: () => once(out, 'drain'),
    receive: (take) => incoming.removeAllListeners('data').on('data', take),
  }
}

/** borrow: looks at the bytes where they lie instead of copying them out. */
function vcEnd(vc: VConnection, borrow = false): End {
  let give: (bytes: Buffer) => void = () => {}
  const buffer = new MIOBuffer()
  const reader = buffer.allocReader()
  vc.doIoRead(
    (event) => {
      if (event !== VCEvent.READ_READY) return
      if (!borrow) give(reader.read())
      else {
        for (let bytes; (bytes = reader.borrow()).length > 0; reader.consume(bytes.length)) {
          give(bytes)
        }
      }
    },
    Infinity,
    buffer,
  )
  return {
    write: (bytes) => vc.write(bytes),
    drained: () => vc.drained(),
    receive: (take) => (give = take),
  }
}

const reactor = new Reactor()
const ways: Record<string, () => Promise<[End, End]> | [End, End]> = {
  pair() {
    const [a, b] = reactor.pair()
    return [vcEnd(a), vcEnd(b)]
  },
  'pair-borrow'() {
    const [a, b] = reactor.pair()
    return [vcEnd(a, true), vcEnd(b, true)]
  },
  'pair-stream'() {
    const [a, b] = reactor.pair().map((vc) => vc.stream())
    return [streamEnd(a, a), streamEnd(b, b)]
  },
  passthrough() {
    const [there, back] = [new PassThrough(), new PassThrough()]
    return [streamEnd(there, back), streamEnd(back, there)]
  },
  duplexpair() {
    const [a, b] = duplexPair()
    return [streamEnd(a, a), streamEnd(b, b)]
  },
  async socket() {
    const server = createServer({ noDelay: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const a = connect({ port: (server.address() as AddressInfo).port, noDelay: true })
    const [b] = (await once(server, 'connection')) as [typeof a]
    return [streamEnd(a, a), streamEnd(b, b)]
  },
}

const make = ways[values.way]
if (!make) throw new Error(`no such way: ${values.way}`)
const [left, right] = await make()

let sent = 0
let received = 0
const next = (size: number) => {
  const at = sent % period
  sent += size
  return table.subarray(at, at + size)
}
function check(bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) {
    const at = received % period
    const n = Math.min(bytes.length - done, bulkSize)
    if (table.compare(bytes, done, done + n, at, at + n) !== 0) throw new Error('wrong byte')
    done += n
    received += n
  }
}

/** From now on: wall clock and CPU nanoseconds, each of count. */
function meter(): (count: number) => { wall: number; cpu: number } {
  const start = process.hrtime.bigint()
  const cpu = process.cpuUsage()
  return (count) => {
    const { user, system } = process.cpuUsage(cpu)
    return {
      wall: Number(process.hrtime.bigint() - start) / count,
      cpu: ((user + system) * 1000) / count,
    }
  }
}

/** total bytes from left to right, in pieces; what each piece costs. */
async function oneWay(size: number, total: number): Promise<{ wall: number; cpu: number }> {
  const end = sent + total
  const all = new Promise<void>((resolve) => {
    right.receive((bytes) => {
      check(bytes)
      if (received === end) resolve()
    })
  })
  const each = meter()
  while (sent < end) if (!left.write(next(size))) await left.drained()
  await all
  return each(total / size)
}

/** A message, its echo, and so on: wall clock and CPU nanoseconds each. */
async function roundTrips(count: number): Promise<{ wall: number; cpu: number }> {
  const each = meter()
  let open = count
  await new Promise<void>((resolve) => {
    right.receive((bytes) => right.write(bytes))
    left.receive((bytes) => {
      check(bytes)
      if (received < sent) return
      if (--open === 0) resolve()
      else left.write(next(smallSize))
    })
    left.write(next(smallSize))
  })
  return each(count)
}

const [bytes, messages, turns] = [values.bytes, values.messages, values.turns].map(Number)
await oneWay(bulkSize, bulkSize * 200) // JIT, pools
await oneWay(smallSize, smallSize * 20_000)
const bulk = await oneWay(bulkSize, Math.ceil(bytes / bulkSize) * bulkSize)
const small = await oneWay(smallSize, messages * smallSize)
await roundTrips(Math.ceil(turns / 10))
const turn = await roundTrips(turns)
console.log(
  JSON.stringify({
    mbPerSecond: bulkSize / 1e6 / (bulk.wall / 1e9),
    cpuUsPerMb: bulk.cpu / 1e3 / (bulkSize / 1e6),
    messageNs: small.wall,
    messageCpuNs: small.cpu,
    turnNs: turn.wall,
    turnCpuNs: turn.cpu,
  }),
)
process.exit()
