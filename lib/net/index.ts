import net from 'node:net'
import { EventEmitter } from 'node:events'
import { formOf } from './arguments.js'
import { NetServer, prepare } from './server.js'
import { initialise, NetSocket } from './socket.js'

/**
 * node:net on this package's engine: the same names, types, events and errors. What differs is in
 * docs/net-compat.md.
 */

/** Called with or without `new`, or as a base in the style of before there was `class`. */
function SocketFunction(this: unknown, options?: unknown): unknown {
  if (new.target) return construct(NetSocket, [options], new.target, SocketFunction)
  if (!(this instanceof NetSocket)) return new NetSocket(options)
  initialise(this, options)
  return undefined
}

function ServerFunction(this: unknown, options?: unknown, handler?: unknown): unknown {
  if (new.target) return construct(NetServer, [options, handler], new.target, ServerFunction)
  if (!(this instanceof NetServer)) return new NetServer(options, handler)
  EventEmitter.call(this as never)
  prepare(this, options, handler)
  return undefined
}

function construct(
  real: new (...args: never[]) => object,
  args: unknown[],
  target: unknown,
  own: unknown,
): object {
  return Reflect.construct(real, args, target === own ? real : (target as () => void)) as object
}

function callable<T>(face: object, real: { prototype: object }, name: string): T {
  Object.setPrototypeOf(face, Object.getPrototypeOf(real) as object)
  Object.defineProperty(face, 'name', { value: name })
  Object.defineProperty(face, 'prototype', { value: real.prototype })
  Object.defineProperty(real.prototype, 'constructor', {
    value: face,
    configurable: true,
    writable: true,
  })
  return face as T
}

export type Socket = net.Socket
export const Socket = callable<typeof net.Socket>(SocketFunction, NetSocket, 'Socket')
export type Stream = net.Socket
export const Stream = Socket
export type Server = net.Server
export const Server = callable<typeof net.Server>(ServerFunction, NetServer, 'Server')

export const createServer = ((options?: unknown, handler?: unknown) =>
  new NetServer(options, handler)) as unknown as typeof net.createServer

function makeConnection(...args: unknown[]): NetSocket {
  const [options, callback] = formOf(args)
  const socket = new NetSocket(options)
  const { timeout } = options
  if (timeout) socket.setTimeout(timeout as number)
  return callback ? socket.connect(options, callback) : socket.connect(options)
}
export const createConnection = makeConnection as unknown as typeof net.createConnection
export const connect = createConnection

export const {
  isIP,
  isIPv4,
  isIPv6,
  BlockList,
  SocketAddress,
  getDefaultAutoSelectFamily,
  setDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  setDefaultAutoSelectFamilyAttemptTimeout,
} = net
export type BlockList = net.BlockList
export type SocketAddress = net.SocketAddress
export type {
  AddressInfo,
  DropArgument,
  IpcNetConnectOpts,
  IpcSocketConnectOpts,
  ListenOptions,
  LookupFunction,
  NetConnectOpts,
  OnReadOpts,
  ServerOpts,
  SocketConnectOpts,
  SocketConstructorOpts,
  SocketReadyState,
  TcpNetConnectOpts,
  TcpSocketConnectOpts,
} from 'node:net'

export default {
  connect,
  createConnection,
  createServer,
  isIP,
  isIPv4,
  isIPv6,
  BlockList,
  SocketAddress,
  Server,
  Socket,
  Stream,
  getDefaultAutoSelectFamily,
  setDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  setDefaultAutoSelectFamilyAttemptTimeout,
}
