import { urlOf, type ParsedAddress } from './address.js'
import { incompatible, outOfRange, wrongType, NetvcArgumentError } from './errors.js'
import type { WriteOptions } from './handle.js'
import type { PairOptions } from './pairs.js'
import type { QueueLimits } from './queues.js'
import type { KeepAliveOptions, SocketOptions } from './socket-options.js'
import type { VCStreamOptions } from './stream.js'
import type { TimeoutOptions } from './timeouts.js'
import type { OriginTraceOptions } from './trace.js'
import { distributions, type Distribute, type RegisterOptions } from './workers.js'

/**
 * What accepted and outgoing connections have in common. Buffer sizes are in bytes. What the system
 * refuses is an error of listen() or connect(); docs/socket-options.md.
 */
export interface ConnectionOptions extends TimeoutOptions {
  /** Send small messages at once (TCP_NODELAY). Default true. */
  noDelay?: boolean
  /** Let the kernel probe idle connections (SO_KEEPALIVE), at these times. Default false. */
  keepAlive?: boolean | KeepAliveOptions
  /** Closing sends RST and drops what is unsent (SO_LINGER 0). Default false. */
  resetOnClose?: boolean
  /** SO_RCVBUF. Default: the kernel's own choice. */
  receiveBufferSize?: number
  /** SO_SNDBUF. Default: the kernel's own choice. */
  sendBufferSize?: number
  /** SO_MARK; needs privileges. Default 0, none. */
  mark?: number
  /** IP_TOS or IPV6_TCLASS, 0..255. Default 0. */
  tos?: number
  /** TCP_CONGESTION, for example `cubic`. Default: the system's. */
  congestionControl?: string
  /** TCP_NOTSENT_LOWAT, bytes: see SocketOptions. Default 0, the system's. */
  notSentLowat?: number
  /** TCP_USER_TIMEOUT, milliseconds: see SocketOptions. Default 0, the system's. */
  userTimeout?: number
  /** TCP_MAXSEG: bytes of a segment at most, 88..32767. Default: what the path takes. */
  maxSegmentSize?: number
  /**
   * The name of a network interface, for example `eth0`: packets come and go through it alone
   * (SO_BINDTODEVICE); accepted connections too. ENODEV when there is none of this name, EPERM
   * where it needs privileges (before Linux 5.7 always). Of IP alone: refused with
   * ERR_INCOMPATIBLE_OPTION_PAIR for a unix address and for `fd`. Default: any.
   */
  bindToDevice?: string
}

/**
 * Which limit holds: of `maxConnections`, `maxConnectionsPerAddress`, `acceptRate`; `throttled`: of
 * Reactor.setThrottle(); `descriptors`: the process has no descriptor left.
 */
export type AcceptLimit = 'connections' | 'address' | 'rate' | 'throttled' | 'descriptors'

export interface ListenOptions extends ConnectionOptions {
  /** Connections that may wait to be accepted. Default: what the kernel allows. */
  backlog?: number
  /** Share the port with other sockets (SO_REUSEPORT). Default false. */
  reusePort?: boolean
  /** A v6 address takes v6 connections only. Default true. */
  ipv6Only?: boolean
  /** Wake up only when data has arrived, for this many seconds at most (TCP_DEFER_ACCEPT). */
  deferAcceptSeconds?: number
  /** Queue length for TCP_FASTOPEN. Default 0, off. */
  fastOpenQueue?: number
  /**
   * Take connections to addresses that are not of this machine, as the firewall sends them here
   * (IP_TRANSPARENT; needs privileges): vc.localAddress is where the peer meant to go. Default false.
   */
  transparent?: boolean
  /** Connections accepted before others get their turn, 1..4096. Default 16. */
  acceptsPerWakeup?: number
  /** Every net thread accepts for itself from the shared socket. Default false: one accepts for all. */
  acceptOnEveryThread?: boolean
  /** Accept on so many threads of their own (shared by the listeners of a reactor). Default 0. */
  acceptThreads?: number
  /**
   * Spreads accepted connections over the threads that have called register(); with a function
   * this thread chooses. Needs Reactor.shared(). While nobody is registered, and without this
   * option, the handler of listen() gets them.
   */
  distribute?: Distribute
  /**
   * Connections of this listener that may be open. What is too much waits in the kernel's queue
   * (backlog) until one has gone. Default 0, no limit. See also ReactorOptions.maxConnections.
   */
  maxConnections?: number
  /**
   * Connections that may be open from one IPv4 address, or one IPv6 /64; more are reset at once.
   * Default 0, no limit. Unix sockets are not counted.
   */
  maxConnectionsPerAddress?: number
  /** New connections per second; a tenth of it may come at once. More wait. Default 0, no limit. */
  acceptRate?: number
  /**
   * Milliseconds: a connection on which no byte has moved for so long, in either direction and
   * whatever is armed, fails with EUNUSED, also in a tunnel. Default 0, none (AP-5).
   */
  idleTimeout?: number
  /**
   * Accept also when Reactor.setThrottle's limit is reached: for a port that operators need.
   * Default false.
   */
  backdoor?: boolean
  /** Told when a limit holds, at most once a second each. See Listener.stats(). */
  onLimited?: (limit: AcceptLimit) => void
  /**
   * An open, bound or listening stream socket to use; the one address only names it then. The
   * listener owns it, and closes it. Not with ipv6Only, reusePort and bindToDevice, which its maker has to set.
   */
  fd?: number
  /** Cancels listen() while it is pending; afterwards it has no effect. */
  signal?: AbortSignal
}

export interface ReactorOptions extends QueueLimits {
  /**
   * 0: the inline engine, sockets are driven by this JavaScript thread; right for protocols that
   * JavaScript handles itself. n: so many net threads drive them; right for tunnels and for
   * processes whose JavaScript is busy. Default 0. Bun and Deno have no inline engine: there 0
   * means one net thread.
   */
  threads?: number
  /** Accepted connections that may be open, of all listeners together. Default 0, no limit. */
  maxConnections?: number
  /** What listen() and connect() set where they are not given their own. Milliseconds, 0: none. */
  inactivityTimeout?: number
  activeTimeout?: number
}

export interface ConnectOptions extends ConnectionOptions {
  /**
   * Milliseconds until it fails with ENET_CONNECT_TIMEOUT, the look-up of a name and all attempts
   * together. Default 30000; 0: no limit. A look-up itself cannot be given up: the promise rejects in
   * time, but the process ends when the system's resolver has answered, as with node:net.
   */
  timeout?: number
  /** The address to connect from: an IP literal of this machine. */
  localAddress?: string
  /** The port to connect from. Default 0, any. */
  localPort?: number
  /**
   * Choose the local port from [low, high], 1..65535 (IP_LOCAL_PORT_RANGE, Linux 6.3). The kernel
   * ignores a bound outside of net.ipv4.ip_local_port_range. Chosen late, when it is known where to:
   * connections to different peers share ports. EADDRNOTAVAIL when none is left. Not together with
   * localPort.
   */
  localPortRange?: readonly [low: number, high: number]
  /**
   * localAddress, which must be given, need not be of this machine (IP_TRANSPARENT; needs
   * privileges). Default false.
   */
  transparent?: boolean
  /** Send the first write together with the connect (TCP_FASTOPEN). Default false. */
  fastOpen?: boolean
  /** Cancels the attempt: the promise rejects with an AbortError. */
  signal?: AbortSignal
}

type Check = (value: unknown, name: string) => void

function integer(min: number, max: number): Check {
  return (value, name) => {
    if (typeof value !== 'number') throw wrongType(name, 'a number', value)
    if (!Number.isInteger(value) || value < min || value > max) {
      throw outOfRange(name, `an integer from ${String(min)} to ${String(max)}`, value)
    }
  }
}

function boolean(value: unknown, name: string): void {
  if (typeof value !== 'boolean') throw wrongType(name, 'a boolean', value)
}

function text(value: unknown, name: string): void {
  if (typeof value !== 'string' || value === '') throw wrongType(name, 'a non-empty string', value)
}

/** Of Linux: 1 to 15 bytes, neither a slash nor white space. */
function device(value: unknown, name: string): void {
  text(value, name)
  if (!/^[^\s/\0]+$/.test(value as string) || Buffer.byteLength(value as string) > 15)
    throw outOfRange(name, 'the name of a network interface, 1 to 15 bytes', value)
}

function signal(value: unknown, name: string): void {
  if (!(value instanceof AbortSignal)) throw wrongType(name, 'an AbortSignal', value)
}

export const maxInt = 0x7fffffff

const keepAliveTimes: Record<keyof KeepAliveOptions, Check> = {
  idle: integer(1, 32767),
  interval: integer(1, 32767),
  count: integer(1, 127),
}

function keepAlive(value: unknown, name: string): void {
  if (typeof value === 'boolean') return
  if (typeof value !== 'object' || value === null)
    throw wrongType(name, 'a boolean or an object', value)
  checkTable(keepAliveTimes, name, value)
}

const port = integer(1, 65535)

function portRange(value: unknown, name: string): void {
  if (!Array.isArray(value) || value.length !== 2) throw wrongType(name, 'two ports', value)
  const [low, high] = value as unknown[]
  port(low, `${name}[0]`)
  port(high, `${name}[1]`)
  if (low! > high!) throw outOfRange(name, '[low, high] with low <= high', value)
}

const connection: Record<keyof ConnectionOptions, Check> = {
  noDelay: boolean,
  keepAlive,
  resetOnClose: boolean,
  receiveBufferSize: integer(0, maxInt),
  sendBufferSize: integer(0, maxInt),
  mark: integer(0, maxInt),
  tos: integer(0, 255),
  congestionControl: text,
  notSentLowat: integer(0, maxInt),
  userTimeout: integer(0, maxInt),
  maxSegmentSize: integer(88, 32767),
  bindToDevice: device,
  inactivityTimeout: integer(0, maxInt),
  activeTimeout: integer(0, maxInt),
}

const listen: Record<keyof ListenOptions, Check> = {
  ...connection,
  backlog: integer(1, maxInt),
  reusePort: boolean,
  ipv6Only: boolean,
  deferAcceptSeconds: integer(0, maxInt),
  fastOpenQueue: integer(0, maxInt),
  transparent: boolean,
  acceptsPerWakeup: integer(1, 4096),
  acceptOnEveryThread: boolean,
  acceptThreads: integer(0, 64),
  distribute: (value, name) => {
    if (typeof value === 'function') return
    if (typeof value !== 'string' || !Object.hasOwn(distributions, value))
      throw wrongType(name, `one of ${Object.keys(distributions).join(', ')}, or a function`, value)
  },
  maxConnections: integer(0, maxInt),
  maxConnectionsPerAddress: integer(0, maxInt),
  acceptRate: integer(0, 1_000_000),
  idleTimeout: integer(0, maxInt),
  backdoor: boolean,
  onLimited: (value, name) => {
    if (typeof value !== 'function') throw wrongType(name, 'a function', value)
  },
  fd: integer(0, maxInt),
  signal,
}

const connect: Record<keyof ConnectOptions, Check> = {
  ...connection,
  timeout: integer(0, maxInt),
  localAddress: text,
  localPort: integer(0, 65535),
  localPortRange: portRange,
  transparent: boolean,
  fastOpen: boolean,
  signal,
}

const pair: Record<keyof PairOptions, Check> = {
  size: integer(1, 64 * 1024 * 1024),
  activeThread: integer(0, maxInt),
  passiveThread: integer(0, maxInt),
  activeAddress: text,
  passiveAddress: text,
  tag: text,
  tagId: integer(0, maxInt),
  internal: boolean,
}

const setSocketOptions: Record<keyof SocketOptions, Check> = {
  noDelay: boolean,
  keepAlive,
  receiveBufferSize: integer(1, maxInt),
  sendBufferSize: integer(1, maxInt),
  tos: integer(0, 255),
  mark: integer(0, maxInt),
  congestionControl: text,
  notSentLowat: integer(0, maxInt),
  userTimeout: integer(0, maxInt),
  outOfBandInline: boolean,
  bindToDevice: device,
}

const setOriginTrace: Record<keyof OriginTraceOptions, Check> = {
  fd: integer(0, maxInt),
  maxBytes: integer(0, 65536),
}

const write: Record<keyof WriteOptions, Check> = {
  completion: (value, name) => {
    if (typeof value !== 'boolean' && typeof value !== 'function')
      throw wrongType(name, 'a boolean or a function', value)
  },
  ignoreOvercrowded: boolean,
  timeout: integer(0, maxInt),
  pipelinedCount: integer(0, Number.MAX_SAFE_INTEGER),
  auth: boolean,
}

const register: Record<keyof RegisterOptions, Check> = {
  onExit: (value, name) => {
    if (value !== 'close' && value !== 'park') throw wrongType(name, "'close' or 'park'", value)
  },
}

const queues: Record<keyof QueueLimits, Check> = {
  maxQueued: integer(0, maxInt),
  maxActive: integer(0, maxInt),
}

const reactor: Record<string, Check> = {
  ...queues,
  threads: integer(0, 256),
  maxConnections: integer(0, maxInt),
  inactivityTimeout: integer(0, maxInt),
  activeTimeout: integer(0, maxInt),
}
const buffer: Record<string, Check> = {
  blockSize: integer(128, 2 * 1024 * 1024),
  waterMark: integer(0, Number.MAX_SAFE_INTEGER),
}
const tunnel: Record<string, Check> = {
  ...buffer,
  inactivityTimeout: integer(0, maxInt),
  activeTimeout: integer(0, maxInt),
  halfCloseTimeout: integer(0, maxInt),
  stallTimeout: integer(0, maxInt),
}
const stream: Record<keyof VCStreamOptions, Check> = {
  allowHalfOpen: boolean,
  highWaterMark: integer(0, maxInt),
  readableHighWaterMark: integer(0, maxInt),
  writableHighWaterMark: integer(0, maxInt),
  signal,
}

const tables = {
  listen,
  connect,
  pair,
  write,
  register,
  reactor,
  queues,
  buffer,
  tunnel,
  stream,
  setSocketOptions,
  setOriginTrace,
} satisfies Record<string, Record<string, Check>>

/** Checks an options object: unknown names are errors, undefined values mean "default". */
export function checkOptions(kind: keyof typeof tables, options: unknown): void {
  if (options === undefined) return
  if (typeof options !== 'object' || options === null)
    throw wrongType('options', 'an object', options)
  checkTable(tables[kind], 'options', options, kind)
}

/** Of options that were checked one by one: those that cannot hold together. */
export function checkTogether(
  kind: 'listen' | 'connect',
  options: ListenOptions & ConnectOptions,
  addresses: readonly ParsedAddress[],
): void {
  const path = addresses.find((address) => address.kind === 1)
  if (path && options.bindToDevice !== undefined)
    throw incompatible('bindToDevice', urlOf(path), 'packets of IP alone come by an interface')
  const has = (name: keyof typeof options) => options[name] !== undefined && options[name] !== false
  if (kind === 'connect') {
    if (has('transparent') && !has('localAddress'))
      throw incompatible(
        'transparent',
        'no localAddress',
        'it is the foreign address to connect from',
      )
    if (options.localPort && has('localPortRange'))
      throw incompatible(
        'localPort',
        '"localPortRange"',
        'one names a port, the other one asks for any',
      )
    return
  }
  if (options.fd === undefined) return
  for (const name of ['ipv6Only', 'reusePort', 'bindToDevice'] as const) {
    if (options[name] === undefined) continue
    throw incompatible(name, '"fd"', 'it is set before a socket is bound, so by who has made it')
  }
}

function checkTable(table: Record<string, Check>, at: string, options: object, kind = at): void {
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(table, name) ? table[name] : undefined
    if (check === undefined) {
      const known = Object.keys(table).join(', ')
      const message = `Unknown option "${name}" for ${kind}. Known options: ${known}.`
      throw new NetvcArgumentError('ERR_INVALID_ARG_VALUE', message)
    }
    if (value !== undefined) check(value, `${at}.${name}`)
  }
}

/**
 * A copy of checked options as native code reads them, with names for what is nested: keepAliveIdle,
 * keepAliveInterval, keepAliveCount, localPortLow, localPortHigh.
 */
export function flat<T extends ConnectOptions | ListenOptions | SocketOptions>(options: T): T {
  const copy: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) {
    if (name === 'keepAlive' && typeof value === 'object') {
      const { idle, interval, count } = value as KeepAliveOptions
      Object.assign(copy, { keepAlive: true, keepAliveIdle: idle })
      Object.assign(copy, { keepAliveInterval: interval, keepAliveCount: count })
    } else if (name === 'localPortRange' && value !== undefined) {
      ;[copy['localPortLow'], copy['localPortHigh']] = value as [number, number]
    } else {
      copy[name] = value
    }
  }
  return copy as T
}

/** nbytes of an operation: a whole number of bytes, or Infinity. */
export function checkBytes(value: unknown, name: string): asserts value is number {
  if (typeof value !== 'number') throw wrongType(name, 'a number of bytes or Infinity', value)
  if (value !== Infinity && (!Number.isSafeInteger(value) || value < 0)) {
    throw outOfRange(name, 'a whole number of bytes >= 0, or Infinity', value)
  }
}
