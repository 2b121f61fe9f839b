import {
  tunnel,
  VCEvent,
  type ConnectOptions,
  type Tunnel,
  type TunnelOptions,
  type VConnection,
} from 'netvc'
import type { World } from '../support/fixture.js'
import { logarithmic, pattern, type PatternChecker } from '../support/pattern.js'
import type { Recorder } from '../support/recorder.js'

/** client <-> front ==tunnel== back <-> server: the ends are what a user's peers would be. */
export interface Joined {
  client: VConnection
  front: VConnection
  back: VConnection
  server: VConnection
  tunnel: Tunnel
}

export interface JoinOptions {
  address?: () => string
  tunnel?: TunnelOptions
  connect?: ConnectOptions
  legs?: 'apart' | 'together'
}

/** Four connections that are not joined yet. */
export async function ends(
  world: World,
  options: JoinOptions = {},
): Promise<Omit<Joined, 'tunnel'>> {
  const { address = () => 'tcp://127.0.0.1:0', connect = {}, legs = 'apart' } = options
  const [client, front] = await world.pair(address(), { connect })
  // Connections go to the net threads in turn: accepted legs are on different ones, else on the same.
  const [one, two] = await world.pair(address(), {
    connect,
    listen: connect.resetOnClose ? { resetOnClose: true } : {},
  })
  const [server, back] = legs === 'apart' ? [one, two] : [two, one]
  return { client, front, back, server }
}

export async function join(world: World, options: JoinOptions = {}): Promise<Joined> {
  const four = await ends(world, options)
  return { ...four, tunnel: tunnel(four.front, four.back, options.tunnel) }
}

/** Sends a stretch of the pattern in chunks of random sizes, waiting while the peer is slow. */
export async function send(
  vc: VConnection,
  total: number,
  next: () => number,
  from = 0,
): Promise<void> {
  for (let sent = 0; sent < total;) {
    const n = Math.min(total - sent, logarithmic(next, 1, 300_000))
    const more = vc.write(pattern(n, from + sent))
    sent += n
    if (!more) await vc.drained()
  }
}

/** Resolves when so many bytes of a checked stream have come. */
export async function received(
  { stream, recorder }: { stream: PatternChecker; recorder: Recorder },
  count: number,
): Promise<void> {
  await recorder.when(() => stream.count >= count)
}

/** Reads size bytes at a time, each only when the one before is there and the loop has turned. */
export function readSlowly(
  world: World,
  vc: VConnection,
  size: number,
  total: number,
  step: () => void,
): Promise<number> {
  const [buffer, reader] = world.pipe({ blockSize: size })
  let count = 0
  return new Promise((resolve) => {
    const arm = () => vc.doIoRead(handler, size, buffer)
    const handler = (event: VCEvent) => {
      count += reader.read().length
      step()
      if (event === VCEvent.READ_READY) return
      if (event !== VCEvent.READ_COMPLETE || count >= total) resolve(count)
      else setImmediate(arm)
    }
    arm()
  })
}
