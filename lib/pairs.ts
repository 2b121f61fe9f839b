import { parseAddress } from './address.js'
import { outOfRange, systemError } from './errors.js'
import { native } from './native.js'
import { checkOptions } from './options.js'
import type { Reactor } from './reactor.js'
import type { VConnection } from './vconnection.js'

export interface PairOptions {
  /** Bytes that one direction holds between the two ends. Default 32768, at most 64 MiB. */
  size?: number
  /** Net threads of the ends, from 0. Default: both on the same one, the next in turn. */
  activeThread?: number
  passiveThread?: number
  /**
   * What the active end gives as its local address, and the passive one as its remote:
   * `tcp://192.0.2.1:80`, `unix:///path`. Default: none. Names are not looked up.
   */
  activeAddress?: string
  /** The reverse. */
  passiveAddress?: string
  /** Who has made the pair, and its number there: see VConnection.pair. */
  tag?: string
  tagId?: number
  /** Marks the passive end as a request of the process itself. */
  internal?: boolean
}

/** What an end of a pair knows of it. */
export interface PairInfo {
  side: 'active' | 'passive'
  tag: string
  tagId: number
  internal: boolean
  /** The other end's id. */
  peer: bigint
}

/** An address of an end as native code reads it: named activeKind, activeHost, activePort. */
function named(end: 'active' | 'passive', url: string | undefined): object {
  if (url === undefined) return {}
  const { kind, host, port } = parseAddress(url)
  return { [`${end}Kind`]: kind, [`${end}Host`]: host, [`${end}Port`]: port }
}

/** Reactor.pair(): the two ends, on their way to their threads. */
export function makePair(
  reactor: Reactor,
  options: PairOptions,
): [active: VConnection, passive: VConnection] {
  checkOptions('pair', options)
  for (const name of ['activeThread', 'passiveThread'] as const) {
    const thread = options[name]
    if (thread !== undefined && thread >= Math.max(1, reactor.threads)) {
      throw outOfRange(
        name,
        `a thread of the reactor, which has ${String(reactor.threads)}`,
        thread,
      )
    }
  }
  reactor.assertOpen('pair')
  const { activeAddress, passiveAddress, ...rest } = options
  const made = native.pair(reactor.handle, {
    ...rest,
    ...named('active', activeAddress),
    ...named('passive', passiveAddress),
  })
  if (typeof made === 'number') throw systemError(made, 'pair')
  return [reactor.newConnection(made[0], made[1]), reactor.newConnection(made[2], made[3])]
}

/** VConnection.pair */
export function pairInfo(slot: number, version: number): PairInfo | undefined {
  const info = native.pairInfo(slot, version)
  return (
    info && {
      side: info[0] ? 'active' : 'passive',
      tag: info[1],
      tagId: info[2],
      internal: info[3] === 1,
      peer: (BigInt(info[5] >>> 0) << 32n) | BigInt(info[4] >>> 0),
    }
  )
}
