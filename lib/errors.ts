import { constants } from 'node:os'
import { inspect } from 'node:util'
import { nextTick } from './globals.js'

const brand = Symbol.for('netvc.error')

/** What every error of netvc carries besides its message. */
export interface NetvcErrorFields {
  /** Stable, for programs: a system code (`ECONNREFUSED`) or one of {@link ErrorCode}. */
  code: string
  /** The negative system error number, when there is one. */
  errno?: number
  /** The operation that failed: `listen`, `connect`, `read`, `write`. */
  syscall?: string
  /** The address that it was about. */
  address?: string
}

/** Codes that are not system errors. docs/errors.md says when each is thrown and what to do. */
export type ErrorCode =
  | 'ERR_INVALID_ARG_TYPE'
  | 'ERR_INVALID_ARG_VALUE'
  | 'ERR_OUT_OF_RANGE'
  | 'ERR_INVALID_ADDRESS'
  | 'ERR_VC_CLOSED'
  | 'ERR_VC_SHUT'
  | 'ERR_VC_TUNNELED'
  | 'ERR_REACTOR_CLOSED'
  | 'ERR_BUFFER_BUSY'
  | 'ERR_BUFFER_FREED'
  | 'ERR_TOO_MANY_READERS'
  | 'ERR_READER_CLOSED'
  | 'ERR_NETVC_LOAD'
  | 'ERR_VC_NOT_OWNER'
  | 'ERR_NOT_SHARED'
  | 'ERR_NO_SUCH_WORKER'
  | 'ERR_OOB_PENDING'
  | 'ERR_OOB_CANCELLED'
  | 'EOVERCROWDED'
  | 'EFAILEDSOCKET'
  | 'EUNUSED'
  | 'ENET_CONNECT_TIMEOUT'
  | 'ENET_THROTTLING'
  | 'ERR_VC_MIGRATING'
  | 'ERR_VC_READING'
  | 'ERR_LISTENER_HANDLER'
  | 'ERR_INCOMPATIBLE_OPTION_PAIR'
  | 'ERR_DESCRIPTOR_IN_USE'
  | 'ERR_STREAM_DESTROYED'
  | 'ABORT_ERR'

/** An operation failed, or an object was used in a state that does not allow it. */
export class NetvcError extends Error implements NetvcErrorFields {
  declare code: string
  declare errno?: number
  declare syscall?: string
  declare address?: string

  constructor(code: string, message: string, fields: Omit<NetvcErrorFields, 'code'> = {}) {
    super(message)
    Object.assign(this, { code }, fields)
  }

  /** True for errors of any copy of netvc in this process. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && brand in value
  }
}
Object.defineProperty(NetvcError.prototype, brand, { value: true })
Object.defineProperty(NetvcError.prototype, 'name', { value: 'NetvcError' })

/** An argument of the wrong type or value; a TypeError with a code, as Node throws them. */
export class NetvcArgumentError extends TypeError implements NetvcErrorFields {
  declare code: string

  constructor(code: ErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
Object.defineProperty(NetvcArgumentError.prototype, brand, { value: true })

/** System error numbers of this platform. */
export const { errno } = constants

const names = new Map(Object.entries(errno).map(([name, n]) => [n, name]))
names.set(errno.EAGAIN, 'EAGAIN')

/** Beyond the system's numbers; native/vc/codes.h. */
export const Code = {
  THROTTLING: 20101,
  CONNECT_TIMEOUT: 20102,
  OVERCROWDED: 20110,
  FAILEDSOCKET: 20111,
  CLOSED: 20112,
  TUNNELED: 20113,
  SHUT: 20114,
  UNUSED: 20115,
  OOB_PENDING: 20121,
  OOB_CANCELLED: 20122,
} as const

/** Two options that cannot both hold. */
export function incompatible(one: string, other: string, why: string): NetvcArgumentError {
  const text = `Option "${one}" cannot be used together with ${other}: ${why}.`
  return new NetvcArgumentError('ERR_INCOMPATIBLE_OPTION_PAIR', text)
}

/** The error of a descriptor that somebody else in this process owns. */
export function descriptorError(r: number, fd: number | undefined): NetvcError | undefined {
  if (fd === undefined || r !== -errno.EBUSY) return undefined
  const text =
    `fd ${String(fd)} was given to netvc already, which closes it: ` +
    'give each descriptor once, or a duplicate'
  return new NetvcError('ERR_DESCRIPTOR_IN_USE', text)
}

/** The symbolic name of a positive errno. */
export function errnoName(n: number): string {
  return names.get(n) ?? `E${String(n)}`
}

const hints: Record<string, string> = {
  EADDRINUSE: 'the address is taken; choose another port, or 0 for any free one',
  EADDRNOTAVAIL: 'this machine has no such address, or no local port is left',
  EACCES: 'not permitted; ports below 1024 and foreign files need privileges',
  ECONNREFUSED: 'nobody listens there',
  ENODEV: 'this machine has no network interface of the name in bindToDevice',
  ENOENT: 'no such file, or no such congestionControl',
  ENOPROTOOPT: 'the kernel lacks an option that was given; localPortRange needs Linux 6.3',
  EOPNOTSUPP: 'this kind of socket, or this system, does not have it',
  EPERM: 'not permitted; mark and transparent need CAP_NET_ADMIN, bindToDevice CAP_NET_RAW',
  EMFILE: 'the process has no descriptor left; raise ulimit -n',
  ENOMEM: 'the system gives this process no memory; let less wait, or raise its limit',
}

/** Those of Code that an operation can end with. */
const ownCodes: Record<number, readonly [ErrorCode, string] | undefined> = {
  [Code.THROTTLING]: [
    'ENET_THROTTLING',
    'too many sockets are open; see Reactor.setThrottle() and ulimit -n',
  ],
  [Code.CONNECT_TIMEOUT]: ['ENET_CONNECT_TIMEOUT', 'no answer in time; see the timeout option'],
  [Code.FAILEDSOCKET]: ['EFAILEDSOCKET', 'somebody called setFailed()'],
  [Code.UNUSED]: ['EUNUSED', 'no byte has moved for longer than idleTimeout of its listener'],
}

/** An error from the system: `listen EADDRINUSE tcp://127.0.0.1:80: the address is taken; ...`. */
export function systemError(n: number, syscall: string, address?: string): NetvcError {
  const positive = Math.abs(n)
  const where = address === undefined ? '' : ` ${address}`
  const own = ownCodes[positive]
  if (own) {
    const [name, text] = own
    const message = `${syscall} ${name}${where}: ${text}`
    return new NetvcError(name, message, fields(positive, syscall, address))
  }
  const code = errnoName(positive)
  const hint = hints[code]
  const text = `${syscall} ${code}${where}${hint === undefined ? '' : `: ${hint}`}`
  return new NetvcError(code, text, fields(-positive, syscall, address))
}

/** A closed connection is used; cause: why it had failed. */
export function connectionClosed(what: string, cause: NetvcError | undefined): NetvcError {
  const text = `${what}: the connection is closed${cause ? ` (${cause.code})` : ''}`
  return new NetvcError('ERR_VC_CLOSED', text)
}

/** Why native code refuses a message, if that is not an error of the connection. */
export function refusalError(code: number, what: string): NetvcError | undefined {
  switch (code) {
    case Code.OVERCROWDED:
      return new NetvcError(
        'EOVERCROWDED',
        `${what}: too many bytes wait already for a peer that does not read; wait for drained(), or raise maxUnwritten`,
      )
    case Code.CLOSED:
      return connectionClosed(what, undefined)
    case Code.TUNNELED:
      return new NetvcError('ERR_VC_TUNNELED', `${what}: the connection belongs to a tunnel`)
    case Code.SHUT:
      return new NetvcError('ERR_VC_SHUT', `${what}: the writing side was shut down`)
    case Code.OOB_PENDING:
      return new NetvcError(
        'ERR_OOB_PENDING',
        `${what}: urgent bytes of before have not left yet; wait for them, or call cancelOOB()`,
      )
    case Code.OOB_CANCELLED:
      return new NetvcError('ERR_OOB_CANCELLED', `${what}: cancelOOB() was called`)
    case errno.EINVAL:
      return new NetvcError('EINVAL', `${what}: a message needs at least one byte`, {
        errno: -errno.EINVAL,
        syscall: what,
      })
    case errno.EOVERFLOW:
      return new NetvcError(
        'EOVERFLOW',
        `${what}: pipelinedCount is at most ${String(0x3fffffff)}`,
        {
          errno: -errno.EOVERFLOW,
          syscall: what,
        },
      )
    default:
      return undefined
  }
}

/** The error of a connection; text is what VCHandle.setFailed has made of its argument. */
export function messageError(code: number, what: string, text: string): NetvcError {
  if (text === '' && code !== Code.FAILEDSOCKET) return systemError(code, what)
  const given = (text === '' ? {} : JSON.parse(text)) as { code?: string; message?: string }
  const message = given.message ?? 'somebody called setFailed()'
  // What is left of one that is gone is its text, which only setFailed() gives.
  const own = code === Code.FAILEDSOCKET || code === Code.CLOSED
  const name = given.code ?? (own ? 'EFAILEDSOCKET' : errnoName(code))
  return new NetvcError(
    name,
    message,
    code < Code.CONNECT_TIMEOUT ? { errno: -code, syscall: what } : {},
  )
}

function fields(n: number, syscall: string, address: string | undefined) {
  return address === undefined ? { errno: n, syscall } : { errno: n, syscall, address }
}

/** One handler has thrown, and others are still to be called (AD-3). */
export function rethrowLater(error: unknown): void {
  nextTick(() => {
    throw error
  })
}

/** How a wrong value looks in a message: its type, and itself when that is short. */
export function received(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`
  if (typeof value === 'object') {
    const name = (value.constructor as { name?: string } | undefined)?.name
    return `an instance of ${name ?? 'Object'}`
  }
  const text = typeof value === 'string' ? JSON.stringify(value) : inspect(value)
  return `${typeof value} ${text.length > 60 ? `${text.slice(0, 57)}...` : text}`
}

/** `The "name" argument must be <what>. Received <value>.` */
export function wrongType(name: string, what: string, value: unknown): NetvcArgumentError {
  const text = `The "${name}" argument must be ${what}. Received ${received(value)}.`
  return new NetvcArgumentError('ERR_INVALID_ARG_TYPE', text)
}

/** `The value of "name" is out of range. It must be <what>. Received <value>.` */
export function outOfRange(name: string, what: string, value: unknown): NetvcArgumentError {
  const text = `The value of "${name}" is out of range. It must be ${what}. Received ${received(value)}.`
  return new NetvcArgumentError('ERR_OUT_OF_RANGE', text)
}

/** Several addresses were tried: an AggregateError of Node, with the code of the first error. */
export function aggregateError(errors: Error[], syscall: string, address: string): Error {
  const { code, errno: n } = errors[0] as NetvcError
  const text = errors.map(({ message }) => message).join('; ')
  const error = new AggregateError(errors, `${syscall} ${code} ${address}: ${text}`)
  Object.defineProperty(error, brand, { value: true })
  return Object.assign(error, { code, syscall, address, ...(n !== undefined && { errno: n }) })
}

export function abortError(reason: unknown): Error {
  const error = new NetvcError('ABORT_ERR', 'The operation was aborted')
  Object.defineProperty(error, 'name', { value: 'AbortError' })
  error.cause = reason
  return error
}

export function closedError(what: string): NetvcError {
  return new NetvcError('ERR_REACTOR_CLOSED', `${what}: the reactor is closed`)
}
