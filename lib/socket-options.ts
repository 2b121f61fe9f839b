import { Code, errnoName, NetvcError, refusalError, wrongType } from './errors.js'
import { GONE, native } from './native.js'
import { checkOptions, flat } from './options.js'
import type { VCSocket } from './socket.js'

/** How the kernel probes an idle connection. What is not given stays as it is. */
export interface KeepAliveOptions {
  /** Seconds of silence before the first probe, 1..32767 (TCP_KEEPIDLE). */
  idle?: number
  /** Seconds between probes, 1..32767 (TCP_KEEPINTVL). */
  interval?: number
  /** Probes without an answer until the connection has failed with ETIMEDOUT, 1..127 (TCP_KEEPCNT). */
  count?: number
}

/** What VConnection.setSocketOptions() can change on an open connection. */
export interface SocketOptions {
  /** Send small messages at once (TCP_NODELAY). */
  noDelay?: boolean
  /** Let the kernel probe the connection while it is idle (SO_KEEPALIVE); an object switches it on. */
  keepAlive?: boolean | KeepAliveOptions
  /** SO_RCVBUF in bytes, 1..2^31-1; the kernel doubles it, and has a limit (net.core.rmem_max). */
  receiveBufferSize?: number
  /** SO_SNDBUF in bytes, 1..2^31-1; the same, with net.core.wmem_max. */
  sendBufferSize?: number
  /** IP_TOS or IPV6_TCLASS, 0..255. */
  tos?: number
  /** SO_MARK, 0..2^31-1; needs CAP_NET_ADMIN. */
  mark?: number
  /** TCP_CONGESTION, for example `bbr`. */
  congestionControl?: string
  /**
   * TCP_NOTSENT_LOWAT, bytes, 0..2^31-1: the kernel takes no more while so many are not on their
   * way, so that what is written last is not stuck behind seconds of what was written before. 0: the
   * system's value.
   */
  notSentLowat?: number
  /**
   * TCP_USER_TIMEOUT, milliseconds, 0..2^31-1: how long bytes may stay unacknowledged before the
   * connection has failed with ETIMEDOUT. 0: the system's number of attempts.
   */
  userTimeout?: number
  /** SO_OOBINLINE: urgent bytes of the peer stay in the stream. */
  outOfBandInline?: boolean
  /**
   * SO_BINDTODEVICE: the name of the network interface that its packets come and go by, 1 to 15
   * bytes. To change it needs CAP_NET_RAW, to set it for the first time not (since Linux 5.7).
   */
  bindToDevice?: string
}

/** What the kernel answers; what the socket does not have is missing. */
export interface SocketOptionValues extends SocketOptions {
  /** false, or its times. */
  keepAlive?: false | KeepAliveOptions
}

/** SocketOption of native/net/socket_options.h, in its order; what only listen and connect take is last. */
const names = [
  'noDelay',
  'keepAlive',
  'keepAliveIdle',
  'keepAliveInterval',
  'keepAliveCount',
  'receiveBufferSize',
  'sendBufferSize',
  'tos',
  'mark',
  'notSentLowat',
  'userTimeout',
  'outOfBandInline',
] as const
type Name = (typeof names)[number]

const remedies: Record<string, string> = {
  EPERM: 'it needs privileges (CAP_NET_ADMIN; bindToDevice: CAP_NET_RAW)',
  ENODEV: 'this machine has no network interface of this name',
  EACCES: 'it needs privileges (CAP_NET_ADMIN)',
  ENOENT:
    'the kernel has no such algorithm; /proc/sys/net/ipv4/tcp_available_congestion_control lists those it has',
  EOPNOTSUPP: 'this kind of socket, or this system, does not have it',
  ENOPROTOOPT: 'this kind of socket, or this system, does not have it',
  ENOTSOCK: 'the descriptor is not a socket',
  EINVAL: 'the system does not take this value now',
}

/** @internal A tunneled connection can be asked and adjusted, one that is closed or assigned not. */
export function assertThere(vc: VCSocket, what: string): void {
  if (vc.closed || vc.assigned) vc.assertUsable(what)
}

function set(vc: VCSocket, option: string, number: number, value: number, text = ''): void {
  const r = native.setSocketOption(vc.slot, vc.version, number, value, text)
  if (r === 0) return
  if (r === GONE) throw refusalError(Code.CLOSED, 'setSocketOptions')!
  const code = errnoName(-r)
  const remedy = remedies[code]
  const message = `setSocketOptions ${code}: ${option}${remedy === undefined ? '' : `: ${remedy}`}`
  throw new NetvcError(code, message, { errno: r, syscall: 'setsockopt' })
}

/** @internal VConnection.setSocketOptions */
export function setSocketOptions(vc: VCSocket, options: SocketOptions): void {
  if (options === undefined) throw wrongType('options', 'an object', options)
  checkOptions('setSocketOptions', options)
  assertThere(vc, 'setSocketOptions')
  for (const [name, value] of Object.entries(flat(options))) {
    if (value === undefined) continue
    if (name === 'congestionControl') set(vc, name, -1, 0, value as string)
    else if (name === 'bindToDevice') set(vc, name, -2, 0, value as string)
    else set(vc, name, names.indexOf(name as Name), Number(value))
  }
}

function defined<T extends object>(values: T): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/** @internal VConnection.socketOptions */
export function socketOptions(vc: VCSocket): SocketOptionValues | undefined {
  const found = native.socketOptions(vc.slot, vc.version)
  if (!found) return undefined
  const [congestionControl, device, ...values] = found
  const value = Object.fromEntries(names.map((name, i) => [name, values[i]])) as {
    [name in Name]: number | undefined
  }
  const flag = (n: number | undefined) => (n === undefined ? undefined : n !== 0)
  const times = {
    idle: value.keepAliveIdle,
    interval: value.keepAliveInterval,
    count: value.keepAliveCount,
  }
  return defined({
    noDelay: flag(value.noDelay),
    keepAlive: value.keepAlive ? defined(times) : flag(value.keepAlive),
    receiveBufferSize: value.receiveBufferSize,
    sendBufferSize: value.sendBufferSize,
    tos: value.tos,
    mark: value.mark === undefined ? undefined : value.mark >>> 0,
    congestionControl: congestionControl === '' ? undefined : congestionControl,
    notSentLowat: value.notSentLowat,
    userTimeout: value.userTimeout,
    outOfBandInline: flag(value.outOfBandInline),
    bindToDevice: device === '' ? undefined : device,
  })
}
