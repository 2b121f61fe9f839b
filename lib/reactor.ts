import type { Duplex } from 'node:stream'
import { threadId } from 'node:worker_threads'
import { parseAddress } from './address.js'
import {
  closedTable,
  connectionTable,
  lookUp,
  stateOf,
  type ClosedConnectionInfo,
  type ConnectionInfo,
} from './connections.js'
import { Connects } from './connects.js'
import { drain, type DrainOptions, type DrainResult } from './drain.js'
import { closedError, outOfRange, systemError, wrongType } from './errors.js'
import { closePort, openPort, Record } from './events.js'
import { NativePromise, nextTick, now } from './globals.js'
import type { VCHandle } from './handle.js'
import { fromStream } from './from-stream.js'
import { held } from './hold.js'
import { Ids } from './ids.js'
import type { Listener } from './listener.js'
import { Listeners, type ListenArguments } from './listeners.js'
import { lingerLimitMs, Lingering } from './lingering.js'
import { native, type NativeStats } from './native.js'
import {
  checkOptions,
  checkTogether,
  flat,
  maxInt,
  type ConnectOptions,
  type ReactorOptions,
} from './options.js'
import { makePair, type PairOptions } from './pairs.js'
import {
  checkQueueLimits,
  Queues,
  setThrottle,
  throttleState,
  type QueueLimits,
  type ThrottleState,
} from './queues.js'
import { tunnelLimits, tunnelSizes, type Tunnel, type TunnelOptions } from './tunnel.js'
import { carried, given, startTimeouts, type TimeoutOptions } from './timeouts.js'
import { VConnection } from './vconnection.js'
import { WorkerSide } from './worker-side.js'
import { mySeat, Seat } from './workers.js'

const canInline = !('Bun' in globalThis) && !('Deno' in globalThis)

/** Reactors with something open, which live although nobody refers to them. */
const active = new Set<Reactor>()

let shared: Reactor | undefined
let attaching = false

interface NativeReactor {
  handle: number
  ports: readonly number[]
}

const forgotten = new FinalizationRegistry<NativeReactor>(closeNative)

function closeNative({ handle, ports }: NativeReactor): void {
  native.closeReactor(handle)
  for (const port of ports) closePort(port)
}

/**
 * Owns connections and listeners of this JavaScript thread. It keeps the process alive while it has
 * any (see unref).
 */
export class Reactor extends WorkerSide {
  /** @internal */ readonly handle: number
  /** @internal */ readonly seat: Seat | undefined
  /** Net threads; 0 for the inline engine. */
  readonly threads: number
  readonly #ports: number[]
  readonly #timeouts: TimeoutOptions
  /** @internal */ readonly listeners: Listeners
  readonly #queues: Queues
  /** @internal */ readonly connects: Connects
  readonly #lingering: Lingering
  readonly #tunnels = new Map<number, Tunnel>()
  readonly #tunnelIds = new Ids((id) => this.#tunnels.has(id))
  #connections = 0
  #discounted = 0
  #closing: Promise<void> | undefined
  #wantsRef = true
  #isRef = false

  constructor(options?: ReactorOptions) {
    super()
    checkOptions('reactor', options)
    const wanted = options?.threads ?? 0
    const threads = wanted === 0 && !canInline ? 1 : wanted
    this.#timeouts = given(options ?? {})
    this.handle = attaching ? native.attachShared(threads, threadId) : native.createReactor(threads)
    if (this.handle < 0) throw systemError(this.handle, 'reactor')
    const changed = () => {
      this.updateRef()
    }
    this.connects = new Connects(this.handle, changed)
    this.listeners = new Listeners(this, changed, {
      ...this.#timeouts,
      maxConnections: options?.maxConnections ?? 0,
    })
    this.#queues = new Queues(this.handle, options ?? {})
    this.#ports = native.ports(this.handle)
    this.seat = attaching ? new Seat(this.handle) : undefined
    this.#lingering = new Lingering(this.handle, attaching)
    this.threads = attaching ? this.#ports.length : threads
    for (const port of this.#ports) openPort(port, this)
    forgotten.register(this, { handle: this.handle, ports: this.#ports }, this)
  }

  /**
   * The reactor whose net threads all JavaScript threads of this process share: connections can be
   * given from one to another (VConnection.assign), and accepted ones spread over them
   * (ListenOptions.distribute). The first caller's number of threads counts, default 1. Each
   * thread has its own object; the net threads end when the last thread has closed its own.
   */
  static shared(options?: ReactorOptions): Reactor {
    checkOptions('reactor', options)
    if (shared && !shared.closed) return shared
    attaching = true
    try {
      shared = new Reactor({ ...options, threads: Math.max(1, options?.threads ?? 1) })
    } finally {
      attaching = false
    }
    mySeat.current = shared.seat
    return shared
  }

  /**
   * listen(address, handler, options?) or listen(address, options?). Listens on one address or
   * several; handler is called for each connection. Without one nobody is accepted until a loop asks:
   * `for await (const vc of listener)`. Resolves when all are open; if one fails, none is, and the
   * promise rejects (EADDRINUSE, EACCES, ...). Of a name the first address counts, as in Node.
   */
  listen(...args: ListenArguments): Promise<Listener> {
    return this.listeners.open(...args)
  }

  /**
   * Connects; resolves when the peer has answered. Rejects with the system's code, e.g. ECONNREFUSED.
   * The addresses of a name are tried one after the other, as node:net does, all within `timeout`;
   * if none answers, the error is an AggregateError with the code of the first one.
   */
  async connect(address: string, options: ConnectOptions = {}): Promise<VConnection> {
    const parsed = parseAddress(address)
    checkOptions('connect', options)
    this.assertOpen('connect')
    checkTogether('connect', options, [parsed])
    const timeouts = { ...this.#timeouts, ...given(options) }
    return this.connects.open(parsed, address, flat(options), timeouts)
  }

  /**
   * Takes over an open descriptor: a socket, a pipe, anything that can be polled. When the promise
   * resolves its number is closed, and the connection has a duplicate; if it rejects the descriptor
   * is still the caller's, and open.
   */
  adopt(fd: number): Promise<VConnection> {
    if (typeof fd !== 'number')
      return NativePromise.reject(wrongType('fd', 'a descriptor number', fd))
    if (!Number.isInteger(fd) || fd < 0 || fd > maxInt) {
      return NativePromise.reject(outOfRange('fd', 'a descriptor number >= 0', fd))
    }
    return this.#closing
      ? NativePromise.reject(closedError('adopt'))
      : this.connects.adopt(fd, this.#timeouts)
  }

  /**
   * Two connections joined in this process, without a socket: what one sends the other one reads
   * (Apache Traffic Server's PluginVC, docs/pairs.md). They are like any others: operations,
   * messages, timeouts, tunnels, migrate(), assign(). With an acceptor it gets the passive end, soon
   * and not on this stack, and the active one is answered.
   */
  pair(options?: PairOptions): [active: VConnection, passive: VConnection]
  pair(acceptor: (vc: VConnection) => void, options?: PairOptions): VConnection
  pair(
    acceptor?: PairOptions | ((vc: VConnection) => void),
    options: PairOptions = {},
  ): VConnection | [VConnection, VConnection] {
    if (typeof acceptor !== 'function') return makePair(this, acceptor ?? options)
    const [active, passive] = makePair(this, options)
    nextTick(() => {
      if (!this.#closing) acceptor(passive)
    })
    return active
  }

  /**
   * A Duplex stream of bytes as a connection: the active end of a pair whose other end moves its
   * bytes, its end and its errors (docs/streams.md). The stream is this connection's from now on.
   * Throws ERR_INVALID_ARG_VALUE for object mode, ERR_STREAM_DESTROYED.
   */
  fromStream(duplex: Duplex): VConnection {
    return fromStream(this, duplex)
  }

  /** Counters of this reactor, summed over its threads, and of the process's blocks. */
  stats(): NativeStats {
    return native.stats(this.handle)
  }

  /** What is open, of this thread, for operators and tests. Waits a turn of each net thread. */
  connections(): ConnectionInfo[] {
    return this.#closing ? [] : connectionTable(this.handle)
  }
  /** The last 64 connections of each net thread that are gone, of all its users; oldest first. */
  recentlyClosed(): ClosedConnectionInfo[] {
    return this.#closing ? [] : closedTable(this.handle)
  }

  /** Changes limits of the queues while it runs: see VConnection.addToKeepAliveQueue(). */
  setQueueLimits(limits: QueueLimits): void {
    checkQueueLimits(limits)
    this.assertOpen('setQueueLimits')
    this.#queues.set(limits)
  }

  /**
   * How many sockets of netvc may be open in this process. Beyond it connect() fails with
   * ENET_THROTTLING, and accepting waits, a tenth earlier. -1, the default: as many as the
   * descriptor limit (ulimit -n) allows with 192 to spare; 0: no limit, then a process without
   * descriptors closes those who connect (TH-2).
   */
  static setThrottle(connections: number): void {
    setThrottle(connections)
  }
  static throttle(): ThrottleState {
    return throttleState()
  }

  /**
   * Ends service without ending work: stops accepting, lets tunnels and connections end by
   * themselves, closes those that `idle` names, and closes what is left at the deadline, and the
   * reactor. Resolves then.
   */
  async drain(options: DrainOptions = {}): Promise<DrainResult> {
    this.assertOpen('drain')
    const result = await drain(this.handle, this.listeners.all(), options)
    await this.close()
    return result
  }

  /** Lets the process exit although connections are open. */
  unref(): this {
    this.#wantsRef = false
    this.#lingering.ref(false)
    this.updateRef()
    return this
  }
  ref(): this {
    this.#wantsRef = true
    this.#lingering.ref(true)
    this.updateRef()
    return this
  }

  /**
   * Closes every listener and connection and ends the net threads; pending connects reject with
   * ERR_REACTOR_CLOSED. Resolves when everything is gone.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.seat?.unregister('close')
    this.connects.close()
    this.listeners.giveUp()
    for (const t of this.#tunnels.values()) t.close()
    for (const vc of [...held()]) {
      if (vc instanceof VConnection && vc.reactor === this && !vc.tunnel) vc.doIoClose()
    }
    await NativePromise.all(this.listeners.all().map((listener) => listener.close()))
    // Messages that were written before are still leaving. Also never from inside a handler: the
    // engine must not go while it is on the stack.
    const limit = now() + lingerLimitMs
    do {
      await Lingering.moment()
      // A tunnel's end is told a moment after its connections are gone.
    } while ((this.#tunnels.size > 0 || this.#lingering.some(0)) && now() < limit)
    this.#isRef = false
    forgotten.unregister(this)
    closeNative({ handle: this.handle, ports: this.#ports })
    active.delete(this)
    for (const t of [...this.#tunnels.values()]) t.ended(3, 0, 0)
  }

  /**
   * The connection with this id, wherever in the process it lives: the VConnection if this thread
   * has it, otherwise a handle to write to it, close it, or follow its failure. Undefined when it is
   * gone or has failed; an id is never used again (INV-11).
   */
  static address(id: bigint): VCHandle | undefined {
    return lookUp(id)
  }

  /** The three answers of an id: see VCHandle.state. address() has one for those that are alive. */
  static stateOf(id: bigint): VCHandle['state'] {
    return stateOf(id)
  }

  /** True once close() was called. */
  get closed(): boolean {
    return this.#closing !== undefined
  }

  /** @internal */
  assertOpen(what: string): void {
    if (this.#closing) throw closedError(what)
  }

  /** @internal So many more of what is open do not keep this thread alive by themselves. */
  discount(change: number): void {
    this.#discounted += change
    this.updateRef()
  }

  /** @internal */
  protected updateRef(): void {
    const open = this.listeners.size + this.connects.size + this.#connections + this.#tunnels.size
    const registered = this.seat?.registered === true
    if (open > 0 || registered) active.add(this)
    else active.delete(this)
    const on = this.#wantsRef && (open > this.#discounted || registered)
    if (on === this.#isRef) return
    this.#isRef = on
    native.refReactor(this.handle, on ? 1 : 0)
  }

  /** @internal */
  newConnection(slot: number, version: number, shut = 0): VConnection {
    const vc = new VConnection(this, slot, version, shut)
    this.#connections++
    this.updateRef()
    return vc
  }

  /** @internal */
  readonly onRecord = (
    kind: number,
    slot: number,
    version: number,
    id: number,
    count: number,
    errno: number,
    side: number,
    more: number,
  ): void => {
    switch (kind) {
      case Record.ACCEPT:
        this.listeners.accepted(id, this.newConnection(slot, version))
        return
      case Record.ASSIGNED: {
        const vc = this.newConnection(slot, version, id)
        startTimeouts(vc, { ...this.#timeouts, ...carried(count, more) })
        // It may have been on its way when unregister() was called.
        if (this.seat?.handler && !this.#closing) this.seat.handler(vc)
        else vc.doIoClose()
        return
      }
      case Record.PARKED:
        this.seat?.tellParked(slot, version)
        return
      case Record.ACCEPT_ERROR:
      case Record.ACCEPT_LIMITED:
      case Record.ACCEPT_STOPPED:
        this.listeners.told(kind, id, errno)
        return
      case Record.OPEN: {
        const vc = this.newConnection(slot, version)
        const wanted = this.connects.opened(id, vc)
        if (!wanted || this.#closing) vc.doIoClose() // aborted, or closed, meanwhile
        return
      }
      case Record.OPEN_FAILED:
        this.connects.failed(id, errno, more, count ? native.failureText(slot, version) : '')
        return
      case Record.TUNNEL_END: {
        const t = this.#tunnels.get(id)
        this.#tunnels.delete(id)
        t?.ended(count, errno, side)
        this.updateRef()
      }
    }
  }

  /** @internal */
  startTunnel(t: Tunnel, options: TunnelOptions | undefined): void {
    const id = this.#tunnelIds.take()
    const buffers = [t.a.handOver(t), t.b.handOver(t)] as const
    this.#tunnels.set(id, t)
    if (!t.start(id, tunnelSizes(options), buffers, tunnelLimits(options))) {
      this.#tunnels.delete(id)
      t.ended(4, 0, 0)
    }
    this.updateRef()
  }

  /** @internal A connection was closed whose messages are still leaving: the process waits for it. */
  waitForUnsent(): void {
    if (this.#closing) return // close() waits itself
    this.#lingering.keepProcess(
      () => this.#connections,
      () => this.#closing !== undefined,
      this.#wantsRef,
    )
  }

  /** @internal */
  get wantsRef(): boolean {
    return this.#wantsRef
  }

  /** @internal */
  connectionEnded(): void {
    this.#connections--
    if (this.seat) native.connectionEnded(this.handle)
    this.updateRef()
  }
}
