// http, https, http2 and tls of Node over netvc/net, by what the documentation promises: servers are
// given their connections by emit('connection'), agents make theirs with netvc/net, and TLS gets
// tls.connect({ socket }). For the process of one test file only.
import { writeFileSync } from 'node:fs'
import http from 'node:http'
import nodeNet from 'node:net'
import tls from 'node:tls'
import net from '../../dist/net/index.js'

/** Told once, for the runner, that the file has used a socket or a server of netvc/net. */
let used = (file) => {
  used = () => {}
  if (file) writeFileSync(file, '')
}

const fronts = new WeakMap()
const { close, address, getConnections } = nodeNet.Server.prototype
const listening = Object.getOwnPropertyDescriptor(nodeNet.Server.prototype, 'listening')

/** The server of netvc/net that listens for one of Node's. */
function frontOf(server) {
  const { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, highWaterMark } = server
  const front = new net.Server({ allowHalfOpen, pauseOnConnect, noDelay, keepAlive, highWaterMark })
  front.on('connection', (socket) => {
    socket.server = server
    server.emit('connection', socket)
  })
  for (const event of ['listening', 'error', 'close', 'drop'])
    front.on(event, (...args) => server.emit(event, ...args))
  Object.defineProperty(front, 'maxConnections', { get: () => server.maxConnections })
  Object.defineProperty(server, '_connections', {
    configurable: true,
    get: () => front._connections,
    set: () => {},
  })
  return front
}

/** Also before it listens: ref() and unref() are remembered. */
function makeFront(server) {
  let front = fronts.get(server)
  if (front === undefined) fronts.set(server, (front = frontOf(server)))
  return front
}

export function mapBelow(marker) {
  Object.assign(nodeNet.Server.prototype, {
    listen(...args) {
      used(marker)
      const front = makeFront(this)
      const told = args.at(-1)
      if (typeof told === 'function') this.once('listening', args.pop())
      front.listen(...args)
      return this
    },
    close(told) {
      const front = fronts.get(this)
      if (front === undefined) return close.call(this, told)
      front.close(told && ((...args) => told.apply(this, args)))
      return this
    },
    address() {
      const front = fronts.get(this)
      return front === undefined ? address.call(this) : front.address()
    },
    getConnections(told) {
      const front = fronts.get(this)
      if (front === undefined) return getConnections.call(this, told)
      front.getConnections(told)
      return this
    },
    ref() {
      makeFront(this).ref()
      return this
    },
    unref() {
      makeFront(this).unref()
      return this
    },
  })
  Object.defineProperty(nodeNet.Server.prototype, 'listening', {
    ...listening,
    get() {
      return fronts.get(this)?.listening ?? listening.get.call(this)
    },
  })

  const connect = (...args) => {
    used(marker)
    return net.connect(...args)
  }
  http.Agent.prototype.createConnection = connect
  http.globalAgent.createConnection = connect
  nodeNet.connect = nodeNet.createConnection = connect // what http2 calls

  const secure = tls.connect
  tls.connect = function (...args) {
    const [given, told] = nodeNet._normalizeArgs(args)
    for (const more of [args[1], args[2]]) {
      if (typeof more === 'object' && more !== null) Object.assign(given, more)
    }
    if (given.socket) return secure(...args)
    used(marker)
    const { signal, onread, timeout, ...below } = given
    // Only what a plain socket takes; the rest is TLS's.
    const socket = new net.Socket({ allowHalfOpen: given.allowHalfOpen })
    const wrapped = secure({ ...given, socket }, ...(told ? [told] : []))
    if (timeout) wrapped.setTimeout(timeout)
    socket.connect(below)
    return wrapped
  }
}
