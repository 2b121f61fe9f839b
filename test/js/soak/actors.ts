import { once } from 'node:events'
import { createServer } from 'node:net'
import { NetvcError, VCEvent, type VConnection } from 'netvc'
import { integerBelow, logarithmic, pattern, PatternChecker, pick } from '../support/pattern.js'
import { must, turn, type Next, type World } from './world.js'

/** One thing that happens in a round; resolves when it is through, rejects when it went wrong. */
export type Actor = (world: World, next: Next) => Promise<void>

const code = (error: unknown) => (error as NetvcError).code

/** Connects, sends a pattern, gets all of it back, whatever the way. */
const stream: Actor = async (world, next) => {
  const { to, totals } = world
  const n = logarithmic(next, 1, 400_000)
  const vc = await world.reactor.connect(pick(next, [to.echo, to.pipe, to.tunnel]))
  totals.connections++
  if (integerBelow(next, 2)) vc.setInactivityTimeout(200_000)
  const checker = new PatternChecker()
  const [buffer, reader] = world.buffer(next)
  const ended = new Promise<VCEvent>((resolve) => {
    const handler = world.handler(next, (event) => {
      checker.take(reader.read())
      if (event !== VCEvent.READ_READY) resolve(event)
    })
    vc.doIoRead(handler, Infinity, buffer)
  })
  await (integerBelow(next, 2) ? sendMessages : sendByOperation)(world, vc, n, next)
  vc.doIoShutdown('write')
  totals.halfCloses++
  const end = await ended
  must(end === VCEvent.EOS, `${VCEvent[end]} after ${String(checker.count)} of ${String(n)} bytes`)
  must(checker.count === n, `${String(checker.count)} of ${String(n)} bytes came back`)
  must(vc.error === undefined, `an end with ${String(vc.error?.code)}`)
  vc.doIoClose()
  world.free(buffer)
  totals.bytes += n
}

async function sendMessages(_: World, vc: VConnection, n: number, next: Next): Promise<void> {
  for (let at = 0; at < n;) {
    const size = Math.min(n - at, logarithmic(next, 1, Math.max(2, n / 4)))
    const more = vc.write(pattern(size, at))
    at += size
    if (!more) await vc.drained()
    else if (integerBelow(next, 4) === 0) await turn()
  }
}

function sendByOperation(world: World, vc: VConnection, n: number, next: Next): Promise<void> {
  const [buffer, reader] = world.buffer(next)
  let at = 0
  return new Promise((resolve, reject) => {
    const handler = world.handler(next, (event) => {
      if (event === VCEvent.WRITE_READY) {
        const some = Math.min(n - at, logarithmic(next, 1, 100_000))
        if (some > 0) buffer.write(pattern(some, at))
        at += some
        return
      }
      world.free(buffer)
      if (event === VCEvent.WRITE_COMPLETE) resolve()
      else reject(new Error(`a write ended with ${VCEvent[event]}`))
    })
    vc.doIoWrite(handler, n, reader)
  })
}

/** The same, until it is closed at some event, or by a timeout: what came back is a prefix. */
const talker: Actor = async (world, next) => {
  const { to, totals } = world
  const target = pick(next, [to.echo, to.pipe, to.tunnel, to.limited, to.rude])
  let vc: VConnection
  try {
    vc = await world.reactor.connect(target)
  } catch (error) {
    must(target === to.rude && code(error) === 'ECONNRESET', `connect: ${code(error)}`)
    return
  }
  totals.connections++
  let left = integerBelow(next, 12)
  const checker = new PatternChecker()
  const [buffer, reader] = world.buffer(next)
  const inactivity = integerBelow(next, 2) * (1 + integerBelow(next, 80))
  // Somebody always ends it.
  const active = integerBelow(next, 2) * (1 + integerBelow(next, 150)) || (inactivity ? 0 : 500)
  const armed = performance.now()
  await new Promise<void>((resolve) => {
    const end = () => {
      world.leave(vc, next)
      world.free(buffer)
      resolve()
    }
    if (left === 0) {
      end()
      return
    }
    const handler = world.handler(next, (event) => {
      checker.take(reader.read())
      if (event === VCEvent.INACTIVITY_TIMEOUT) {
        totals.inactivity++
        must(inactivity > 0 && performance.now() - armed >= inactivity, 'INV-14: early')
      } else if (event === VCEvent.ACTIVE_TIMEOUT) {
        totals.active++
        must(active > 0 && performance.now() - armed >= active, 'INV-14: early')
      } else if (event === VCEvent.READ_READY && --left > 0) {
        if (!vc.failed && left % 2) vc.write(pattern(1000, sent))
        if (left % 2) sent += 1000
        return
      }
      end()
    })
    vc.doIoRead(handler, Infinity, buffer)
    vc.setInactivityTimeout(inactivity)
    vc.setActiveTimeout(active)
    let sent = logarithmic(next, 1, 100_000)
    vc.write(pattern(sent))
  })
  totals.bytes += checker.count
}

const refused: Actor = async (world) => {
  const error = await world.reactor.connect(world.to.nobody).then(
    () => undefined,
    (e: unknown) => e,
  )
  must(error instanceof NetvcError && error.code === 'ECONNREFUSED', `refused: ${String(error)}`)
  world.totals.refused++
}

/** Nobody answers the handshake: a timeout, not early. */
const unanswered: Actor = async (world, next) => {
  const timeout = 1 + integerBelow(next, 150)
  const began = performance.now()
  const error = await world.reactor.connect(world.to.full, { timeout }).then(
    () => undefined,
    (e: unknown) => e,
  )
  must(code(error) === 'ENET_CONNECT_TIMEOUT', `unanswered: ${String(error)}`)
  must(performance.now() - began >= timeout, 'CN-7: early')
  world.totals.connectTimeouts++
}

/** Given up while it is under way. */
const cancelled: Actor = async (world, next) => {
  const abort = new AbortController()
  const attempt = world.reactor.connect(world.to.full, { signal: abort.signal })
  if (integerBelow(next, 2)) await turn()
  abort.abort()
  const error = await attempt.catch((e: unknown) => e)
  must(code(error) === 'ABORT_ERR', `cancelled: ${String(error)}`)
  world.totals.cancelled++
}

/** A peer that never reads or writes: only timeouts end it. */
const dead: Actor = async (world, next) => {
  const { totals } = world
  const vc = await world.reactor.connect(world.to.mute, { sendBufferSize: 4096 })
  totals.connections++
  const which = integerBelow(next, 3)
  const limits = {
    [VCEvent.INACTIVITY_TIMEOUT]: which === 0 ? 0 : 1 + integerBelow(next, 200),
    [VCEvent.ACTIVE_TIMEOUT]: which === 1 ? 0 : 1 + integerBelow(next, 200),
  }
  const [buffer] = world.buffer(next)
  let again = integerBelow(next, 3)
  await new Promise<void>((resolve, reject) => {
    const armed: Record<number, number> = {}
    const arm = (event: VCEvent) => {
      armed[event] = performance.now()
      if (event === VCEvent.ACTIVE_TIMEOUT) vc.setActiveTimeout(limits[event])
      else vc.setInactivityTimeout(limits[VCEvent.INACTIVITY_TIMEOUT])
    }
    const handler = world.handler(next, (event) => {
      if (event !== VCEvent.INACTIVITY_TIMEOUT && event !== VCEvent.ACTIVE_TIMEOUT) {
        reject(new Error(`${VCEvent[event]} from nobody`))
        return
      }
      const late = performance.now() - armed[event] - limits[event]
      if (late < 0) reject(new Error(`INV-14: ${VCEvent[event]} early by ${String(-late)} ms`))
      totals.latestMs = Math.max(totals.latestMs, Math.round(late))
      if (event === VCEvent.ACTIVE_TIMEOUT) totals.active++
      else totals.inactivity++
      if (again-- > 0) {
        arm(event)
        return
      }
      world.leave(vc, next)
      world.free(buffer)
      resolve()
    })
    vc.doIoRead(handler, Infinity, buffer)
    arm(VCEvent.INACTIVITY_TIMEOUT)
    arm(VCEvent.ACTIVE_TIMEOUT)
  })
}

/** A peer that sends a byte now and then: the inactivity timeout counts from the last one. */
const drip: Actor = async (world, next) => {
  const { totals } = world
  const drops = integerBelow(next, 12)
  const ms = 2 + integerBelow(next, 40)
  const sentAt: number[] = []
  const server = createServer((socket) => {
    socket.setNoDelay().on('error', () => {})
    const drop = () => {
      if (sentAt.length === drops || socket.destroyed) return
      sentAt.push(performance.now())
      socket.write('x')
      setTimeout(drop, integerBelow(next, ms))
    }
    drop()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const vc = await world.reactor.connect(`tcp://127.0.0.1:${String(port)}`)
  totals.connections++
  const [buffer, reader] = world.buffer(next)
  const armed = performance.now()
  await new Promise<void>((resolve, reject) => {
    const handler = world.handler(next, (event, vio) => {
      reader.consume(reader.readAvail)
      if (event === VCEvent.READ_READY) return
      const got = vio.ndone // as of the event; a net thread may have more in the buffer by now
      const since = performance.now() - (got > 0 ? sentAt[got - 1] : armed)
      if (event !== VCEvent.INACTIVITY_TIMEOUT) reject(new Error(VCEvent[event]))
      if (since < ms) reject(new Error(`INV-14: early by ${String(ms - since)} ms`))
      totals.inactivity++
      world.leave(vc, next)
      world.free(buffer)
      resolve()
    })
    vc.doIoRead(handler, Infinity, buffer)
    vc.setInactivityTimeout(ms)
  })
  await new Promise((resolve) => server.close(resolve))
}

/** A plain socket: leaves in order, with a reset, without a word, or when a tunnel's limit says so. */
const raw: Actor = async (world, next) => {
  const { to, totals } = world
  const how = pick(next, ['in order', 'reset', 'abruptly', 'never'] as const)
  const limited = how === 'never'
  const socket = world.dial(limited ? to.limited : pick(next, [to.echo, to.pipe, to.tunnel]))
  const n = logarithmic(next, 1, 300_000)
  const leaveAt = integerBelow(next, n)
  const checker = new PatternChecker()
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const ended = Promise.race([closed, new Promise<void>((r) => socket.once('end', () => r()))])
  let over = false
  void ended.then(() => (over = true))
  socket.on('data', (bytes: Buffer) => checker.take(bytes))
  await Promise.race([closed, once(socket, 'connect')])
  for (let at = 0; at < n && !over && !socket.destroyed;) {
    const size = Math.min(n - at, logarithmic(next, 1, Math.max(2, n / 4)))
    const more = socket.write(pattern(size, at))
    at += size
    if (how === 'reset' && at > leaveAt) {
      socket.resetAndDestroy()
      totals.resets++
    } else if (how === 'abruptly' && at > leaveAt) socket.destroy()
    else if (!more) await Promise.race([ended, new Promise((r) => socket.once('drain', r))])
    else await turn()
  }
  if (how === 'in order') {
    socket.end()
    totals.halfCloses++
  }
  await ended
  if (how === 'in order') {
    must(checker.count === n, `${String(checker.count)} of ${String(n)} bytes came back`)
  }
  socket.destroy()
  await closed
  totals.bytes += checker.count
}

/** The same as stream, and between its reads it moves from net thread to net thread (INV-28). */
const wanderer: Actor = async (world, next) => {
  const { to, totals, reactor } = world
  const n = logarithmic(next, 1, 200_000)
  const vc = await reactor.connect(pick(next, [to.echo, to.pipe, to.tunnel]))
  totals.connections++
  const checker = new PatternChecker()
  const [buffer, reader] = world.buffer(next)
  const sent = sendMessages(world, vc, n, next)
  while (checker.count < n) {
    const until = Math.min(n, checker.count + 1 + integerBelow(next, 50_000))
    await new Promise<void>((resolve, reject) => {
      const handler = world.handler(next, (event) => {
        checker.take(reader.read())
        if (event !== VCEvent.READ_READY) reject(new Error(VCEvent[event]))
        else if (checker.count >= until) resolve()
      })
      vc.doIoRead(handler, Infinity, buffer)
    })
    if (reactor.threads > 1) {
      await vc.migrate(integerBelow(next, reactor.threads))
      totals.migrations++
      checker.take(reader.read())
    }
  }
  await sent
  world.leave(vc, next)
  world.free(buffer)
  totals.bytes += n
}

/** Waits in the keep-alive queue until it is told to go, which it is in the end. */
const waiter: Actor = async (world, next) => {
  const vc = await world.reactor.connect(world.to.echo)
  world.totals.connections++
  const [buffer] = world.buffer(next)
  await new Promise<void>((resolve, reject) => {
    const handler = world.handler(next, (event) => {
      if (event !== VCEvent.INACTIVITY_TIMEOUT) reject(new Error(VCEvent[event]))
      world.totals.evicted++
      vc.doIoClose()
      world.free(buffer)
      resolve()
    })
    vc.doIoRead(handler, Infinity, buffer)
    void vc.addToActiveQueue().then((admitted) => {
      must(admitted, 'KQ-3: not admitted, although there is no limit')
      if (!vc.closed) vc.addToKeepAliveQueue()
      world.reactor.setQueueLimits({ maxQueued: world.reactor.threads || 1 })
      world.reactor.setQueueLimits({ maxQueued: 0 })
    }, reject)
    vc.setInactivityTimeout(100 + integerBelow(next, 200))
  })
}

export const actors: Record<string, Actor> = {
  stream,
  wanderer,
  waiter,
  talker,
  refused,
  unanswered,
  cancelled,
  dead,
  drip,
  raw,
}
/** As often as it occurs. */
export const casting = [
  ...['stream', 'stream', 'stream', 'talker', 'talker', 'talker', 'raw', 'raw', 'raw'],
  ...['wanderer', 'waiter', 'dead', 'dead', 'drip', 'refused', 'unanswered', 'cancelled'],
]
