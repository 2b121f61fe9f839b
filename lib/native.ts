import { loadNative } from './load.js'

/**
 * The typed mirror of native/binding: one declaration per function there, and nothing else.
 * A connection is named by (slot, version); reactors, ports, buffers, listeners and requests by
 * small numbers of this JavaScript thread. Counts and zero mean success, a negative number is an
 * errno, GONE says that the connection does not exist any more. Arguments are not checked here.
 */
export interface Native {
  readonly version: string
  /** See the Control constants below. */
  readonly control: Int32Array
  /** [slot, version, offset, length] of small messages that wait for flush(). */
  readonly commands: Int32Array
  /** Their bytes. */
  readonly out: Uint8Array
  /** One word: how many connections of the process have failed or were closed, modulo 2^32. */
  readonly failures: Uint32Array

  /** Calls back in the closing phase of the loop: once, when handles closed now are told so. */
  inClosingPhase(callback: () => void): void
  /** As an exception that nobody catches: 'uncaughtException' is told here and now. */
  tellUncaught(error: unknown): void

  setDispatch(dispatch: (port: number, from: number, n: number) => void): void
  flush(): void
  portRecords(port: number): Int32Array

  createReactor(threads: number): number
  ports(reactor: number): number[]
  closeReactor(reactor: number): number
  refReactor(reactor: number, on: number): void
  stats(reactor: number): NativeStats
  listen(
    reactor: number,
    listener: number,
    kind: number,
    host: string,
    port: number,
    options: object,
  ): number
  listenerAddress(reactor: number, listener: number): string | undefined
  connections(reactor: number): Float64Array
  recentlyClosed(reactor: number): NativeClosed[]
  setQueueLimits(reactor: number, connections: number, active: number): void
  addToActiveQueue(slot: number, version: number, token: number): void
  addToKeepAliveQueue(slot: number, version: number): void
  removeFromQueues(slot: number, version: number): void
  setThrottle(connections: number): void
  throttle(): [open: number, limit: number, emergency: number]
  threadOf(slot: number, version: number): number
  migrate(reactor: number, slot: number, version: number, thread: number, token: number): void
  listenerCounts(reactor: number, id: number): [number, number, number, number] | undefined
  /** gate: 0 pauses, 1 resumes, 2 resumes until somebody has come. */
  gateListener(reactor: number, listener: number, gate: number): void
  closeListener(reactor: number, listener: number): void
  freeListener(reactor: number, listener: number): void
  connect(
    reactor: number,
    request: number,
    kind: number,
    host: string,
    port: number,
    options: object,
  ): number
  cancelConnect(reactor: number, request: number): void
  pair(
    reactor: number,
    options: object,
  ): number | [activeSlot: number, activeVersion: number, slot: number, version: number]
  pairInfo(
    slot: number,
    version: number,
  ):
    | [active: number, tag: string, tagId: number, internal: number, slot: number, version: number]
    | undefined
  pairData(slot: number, version: number, remote: 0 | 1): Uint8Array | undefined
  setPairData(slot: number, version: number, remote: 0 | 1, bytes: Uint8Array): number

  doIoRead(
    slot: number,
    version: number,
    generation: number,
    nbytes: number,
    buffer: number,
    told: 0 | 1,
  ): number
  doIoWrite(
    slot: number,
    version: number,
    generation: number,
    nbytes: number,
    buffer: number,
    reader: number,
    told: 0 | 1,
  ): number
  reenableRead(slot: number, version: number): number
  reenableWrite(slot: number, version: number): number
  reenableRe(slot: number, version: number, side: number): number
  done(slot: number, version: number, side: number, generation: number): number
  setNbytes(slot: number, version: number, side: number, generation: number, nbytes: number): number
  setContinuation(
    slot: number,
    version: number,
    side: number,
    generation: number,
    told: 0 | 1,
    ready: number,
    end: number,
    errno: number,
  ): number
  setBuffer(
    slot: number,
    version: number,
    side: number,
    generation: number,
    buffer: number,
    reader: number,
  ): number
  shutdown(slot: number, version: number, how: number): number
  close(slot: number, version: number, errno: number, tell?: number): number
  closeGracefully(slot: number, version: number, ms: number, tell: number): number
  closeWithReset(slot: number, version: number, tell: number): number

  setSocketOption(
    slot: number,
    version: number,
    option: number,
    value: number,
    text: string,
  ): number
  socketOptions(
    slot: number,
    version: number,
  ): [congestionControl: string, device: string, ...values: (number | undefined)[]] | undefined
  peerCredentials(slot: number, version: number): [pid: number, uid: number, gid: number] | number
  tcpInfo(slot: number, version: number): Record<string, number> | undefined
  sendOOB(slot: number, version: number, bytes: Uint8Array, token: number): void
  cancelOOB(slot: number, version: number): number
  setOriginTrace(slot: number, version: number, fd: number, maxBytes: number): number
  setOriginTraceAddr(slot: number, version: number, host: string): void
  setOriginTracePort(slot: number, version: number, port: number): void

  submit(
    slot: number,
    version: number,
    bytes: Uint8Array | Uint8Array[],
    flags: number,
    token: number,
    timeoutMs: number,
    pipelinedCount: number,
  ): number
  write(slot: number, version: number, bytes: Uint8Array): number
  writeMany(ids: Int32Array, n: number, bytes: Uint8Array, results: Int32Array): number
  failure(slot: number, version: number): number
  failureText(slot: number, version: number): string
  noticeText(token: number): string
  setFailed(slot: number, version: number, code: number, text: string): number
  onFailed(slot: number, version: number, token: number): number
  giveUpOnFailed(slot: number, version: number, ticket: number): number
  logOff(slot: number, version: number, set: 0 | 1): number
  unsent(slot: number, version: number): number
  maxUnwritten(slot: number, version: number, bytes: number): number
  overcrowded(slot: number, version: number): number
  notifyDrained(slot: number, version: number, mark: number, token: number): number
  popPipelined(slot: number, version: number): [count: number, auth: number] | undefined
  attachShared(threads: number, worker: number): number
  registerSeat(reactor: number, on: number, onExit: number): void
  workers(reactor: number): number[]
  parked(reactor: number): bigint[]
  assign(
    reactor: number,
    slot: number,
    version: number,
    worker: number,
    owner: number,
    buffer: number,
  ): number
  connectionEnded(reactor: number): void
  syncReactor(reactor: number): void
  inbox(): number
  refNotices(on: number): void

  address(slot: number, version: number, local: number): NativeAddress | undefined
  inspect(slot: number, version: number): NativeInspection | undefined
  trapWriteBufferEmpty(slot: number, version: number, on: number): number
  setTimeout(slot: number, version: number, kind: 0 | 1, ms: number, tag: number): number

  tunnel(
    reactor: number,
    id: number,
    aSlot: number,
    aVersion: number,
    bSlot: number,
    bVersion: number,
    sizeIndex: number,
    waterMark: number,
    aBuffer: number,
    bBuffer: number,
    inactivityMs: number,
    activeMs: number,
    halfCloseMs: number,
    stallMs: number,
  ): number
  closeTunnel(
    reactor: number,
    id: number,
    aSlot: number,
    aVersion: number,
    bSlot: number,
    bVersion: number,
  ): void
  tunnelBytes(reactor: number, id: number, direction: number): number
  freeTunnel(reactor: number, id: number): void

  createBuffer(sizeIndex: number, waterMark: number): number
  freeBuffer(buffer: number): void
  allocReader(buffer: number): number
  cloneReader(buffer: number, reader: number): number
  onlyReader(buffer: number): number
  deallocReader(buffer: number, reader: number, forgotten: 0 | 1): number
  bufferWrite(buffer: number, bytes: Uint8Array): number
  bufferWriteFrom(buffer: number, source: number, reader: number, n: number, offset: number): number
  bufferInfo(buffer: number, what: number): number
  bufferLend(buffer: number, bytes: Uint8Array, token: number): number
  bufferReserve(buffer: number, where: Int32Array): number
  bufferFill(buffer: number, n: number): number
  deallocAllReaders(buffer: number): number
  readerInfo(buffer: number, reader: number, what: number, i: number): number
  setWaterMark(buffer: number, bytes: number): number
  readAvail(buffer: number, reader: number): number
  read(buffer: number, reader: number, max: number, room: number): number
  readInto(
    buffer: number,
    reader: number,
    target: Uint8Array,
    consume: number,
    offset: number,
  ): number
  consume(buffer: number, reader: number, n: number): number
  memchr(buffer: number, reader: number, byte: number, n: number, offset: number): number
  sizeLimit(buffer: number, reader: number, n: number): number
  borrow(buffer: number, reader: number, where: Int32Array): number
  slab(position: number): ArrayBuffer
  setPool(pool: Uint8Array): void
}

export type NativeClosed = [
  slot: number,
  version: number,
  url: string,
  outbound: number,
  code: number,
  openMs: number,
  agoMs: number,
  bytesIn: number,
  bytesOut: number,
  thread: number,
]

/** [url, host, port, family: 0 none, 1 unix, 4, 6] */
export type NativeAddress = [url: string, host: string, port: number, family: number]

export interface NativeStats {
  turns: number
  pollEvents: number
  readCalls: number
  readNoData: number
  bytesRead: number
  writeCalls: number
  writeNoRoom: number
  bytesWritten: number
  accepted: number
  acceptErrors: number
  connected: number
  connectFailures: number
  closed: number
  events: number
  open: number
  lingering: number
  /** Connections in the keep-alive and in the active queue now. */
  keepAlive: number
  active: number
  /** Told to go since a queue was too long, or a descriptor was needed. */
  keepAliveEvicted: number
  activeEvicted: number
  /** How long those of the keep-alive queue had idled, summed. */
  keepAliveIdleNs: number
  /** Times that accepting waited for Reactor.setThrottle's limit. */
  acceptsThrottled: number
  /** Peers that were accepted and closed at once since the process had no descriptor left. */
  acceptsRescued: number
  connectsThrottled: number
  threads: number
  connections: number
  messages: number
  blocks: number
  blockBytes: number
  slabBytes: number
  buffers: number
  bytesPerConnection: number
}

export interface NativeDirection {
  nbytes: number
  ndone: number
  buffered: number
  armed: boolean
  enabled: boolean
  triggered: boolean
  scheduled: boolean
}

export interface NativeInspection {
  read: NativeDirection
  write: NativeDirection
  sequence: number
  fd: number
  unsent: number
  outstanding: number
  bytesIn: number
  bytesOut: number
  shut: number
  thread: number
  context: number
  errno: number
  ageMs: number
  idleMs: number
}

/** Words of Native.control; native/binding/env_state.h. */
export const Control = { CURSOR: 0, IN_BATCH: 1, COMMANDS: 2, OUT_USED: 3 } as const

/** The connection does not exist any more; native/binding/functions.h. */
export const GONE = -100000

export const native = loadNative() as Native
