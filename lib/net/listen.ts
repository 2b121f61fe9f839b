import { chmodSync, constants, statSync } from 'node:fs'
import dns from 'node:dns'
import { errno } from '../errors.js'
import { nextTick } from '../globals.js'
import { checkSignal, formOf, isPipeName, portOf, type Options } from './arguments.js'
import { isSocketLike } from './descriptor.js'
import { invalidValue, listenError } from './errors.js'
import { kServer, type NetServer } from './server.js'

const defaultBacklog = 511
const everybodyReads = constants.S_IRUSR | constants.S_IRGRP | constants.S_IROTH
const everybodyWrites = constants.S_IWUSR | constants.S_IWGRP | constants.S_IWOTH

/** server.listen() in all its forms. */
export function startListening(server: NetServer, args: readonly unknown[]): void {
  const [given, callback] = formOf(args)
  const options = handleOf(given)
  if (callback) server.once('listening', callback)
  const backlog = backlogOf(options, args)
  const { fd } = options
  if (typeof fd === 'number' && fd >= 0) {
    listenOnDescriptor(server, fd, backlog)
    return
  }
  const { signal } = options
  if (signal !== undefined) closeWith(server, signal)
  const how = {
    backlog,
    ipv6Only: Boolean(options['ipv6Only']),
    reusePort: Boolean(options['reusePort']),
  }
  const none = args.length === 0 || typeof args[0] === 'function'
  const empty = options['port'] === null || ('port' in options && options['port'] === undefined)
  if (none || empty) options['port'] = 0
  const { port, path } = options
  if (typeof port === 'number' || typeof port === 'string') {
    const number = portOf(port, 'options.port')
    if (options['host']) lookUp(server, options['host'] as string, number, how)
    else {
      const v6 = { address: '::', port: number }
      server.open(how.ipv6Only ? [v6] : [v6, { address: '0.0.0.0', port: number }], how)
    }
    return
  }
  if (path !== undefined && isPipeName(path)) {
    listenOnPath(server, path, options, how)
    return
  }
  if (!('port' in options || 'path' in options)) {
    throw invalidValue('options', options, 'must have the property "port" or "path"')
  }
  throw invalidValue('options', options)
}

/** An object with a handle that has a descriptor counts as that. */
function handleOf(options: Options): Options {
  return (options['_handle'] ?? options['handle'] ?? options) as Options
}

function backlogOf(options: Options, args: readonly unknown[]): number {
  const fromArgs = [args[1], args[2]].map(numberOf).find((n) => n !== undefined && n > 0)
  return Math.min(numberOf(options['backlog']) || fromArgs || defaultBacklog, 0x7fffffff)
}

function numberOf(value: unknown): number | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined
  const n = Number(value)
  return Number.isInteger(n) && n >= 0 ? n : undefined
}

function listenOnDescriptor(server: NetServer, fd: number, backlog: number): void {
  if (!isSocketLike(fd)) {
    const error = listenError(errno.EINVAL, {})
    nextTick(() => server.emit('error', error))
    return
  }
  server.open([{ address: '0.0.0.0', port: 0 }], { backlog, ipv6Only: false, reusePort: false, fd })
}

interface How {
  backlog: number
  ipv6Only: boolean
  reusePort: boolean
}

function lookUp(server: NetServer, host: string, port: number, how: How): void {
  const attempt = {}
  const state = server[kServer]
  state.attempt = attempt
  dns.lookup(host, (error, address) => {
    if (state.attempt !== attempt) return // closed meanwhile
    if (error) {
      state.attempt = undefined
      server.emit('error', error)
    } else {
      server.open([{ address, port }], how)
    }
  })
}

function listenOnPath(server: NetServer, path: string, options: Options, how: How): void {
  const isAbstract = path.startsWith('\0')
  if (isAbstract && (options['readableAll'] || options['writableAll'])) {
    const why = 'can not set readableAll or writableAll to true when path is abstract unix socket'
    throw invalidValue('options', options, why)
  }
  // An abstract name needs no zero behind it.
  const longest = isAbstract ? longestPath + 1 : longestPath
  if (Buffer.byteLength(path) > longest) {
    const error = listenError(errno.EINVAL, { address: path })
    nextTick(() => server.emit('error', error))
    return
  }
  if (!server.open([{ address: path, port: undefined }], how) || isAbstract) return
  const more =
    (options['readableAll'] ? everybodyReads : 0) | (options['writableAll'] ? everybodyWrites : 0)
  if (more) chmodSync(path, statSync(path).mode | more)
}

const longestPath = 107

function closeWith(server: NetServer, signal: unknown): void {
  checkSignal(signal, 'options.signal')
  const close = () => {
    server.close()
  }
  if (signal.aborted) {
    nextTick(close)
    return
  }
  signal.addEventListener('abort', close, { once: true })
  server.once('close', () => {
    signal.removeEventListener('abort', close)
  })
}
