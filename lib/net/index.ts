import nodeNet from 'node:net'
import { channel } from 'node:diagnostics_channel'
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

export type Socket = nodeNet.Socket
export const Socket = callable<typeof nodeNet.Socket>(SocketFunction, NetSocket, 'Socket')
export type Stream = nodeNet.Socket
export const Stream = Socket
export type Server = nodeNet.Server
export const Server = callable<typeof nodeNet.Server>(ServerFunction, NetServer, 'Server')

export const createServer = ((options?: unknown, handler?: unknown) =>
  new NetServer(options, handler)) as unknown as typeof nodeNet.createServer

const made = channel('net.client.socket')

function makeConnection(...args: unknown[]): NetSocket {
  const [options, callback] = formOf(args)
  const socket = new NetSocket(options)
  if (made.hasSubscribers) made.publish({ socket })
  const { timeout } = options
  if (timeout) socket.setTimeout(timeout as number)
  return callback ? socket.connect(options, callback) : socket.connect(options)
}
export const createConnection = makeConnection as unknown as typeof nodeNet.createConnection
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
} = nodeNet
export type BlockList = nodeNet.BlockList
export type SocketAddress = nodeNet.SocketAddress
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

const net = {
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

// Deprecated, without effect, and of no type: Node 20 still has it.
const { _setSimultaneousAccepts } = nodeNet as { _setSimultaneousAccepts?: unknown }
if (_setSimultaneousAccepts) Object.assign(net, { _setSimultaneousAccepts })

// So that `net.Socket` is a type also of who imports the default.
// eslint-disable-next-line @typescript-eslint/no-namespace
declare namespace net {
  export type AddressInfo = nodeNet.AddressInfo
  export type BlockList = nodeNet.BlockList
  export type DropArgument = nodeNet.DropArgument
  export type IpcNetConnectOpts = nodeNet.IpcNetConnectOpts
  export type IpcSocketConnectOpts = nodeNet.IpcSocketConnectOpts
  export type ListenOptions = nodeNet.ListenOptions
  export type LookupFunction = nodeNet.LookupFunction
  export type NetConnectOpts = nodeNet.NetConnectOpts
  export type OnReadOpts = nodeNet.OnReadOpts
  export type Server = nodeNet.Server
  export type ServerOpts = nodeNet.ServerOpts
  export type Socket = nodeNet.Socket
  export type SocketAddress = nodeNet.SocketAddress
  export type SocketConnectOpts = nodeNet.SocketConnectOpts
  export type SocketConstructorOpts = nodeNet.SocketConstructorOpts
  export type SocketReadyState = nodeNet.SocketReadyState
  export type TcpNetConnectOpts = nodeNet.TcpNetConnectOpts
  export type TcpSocketConnectOpts = nodeNet.TcpSocketConnectOpts
}

export default net
