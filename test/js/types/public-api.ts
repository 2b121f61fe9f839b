// Compiled by tsconfig.test.json (npm run lint) and never run: what users write must have types,
// and what they must not write must have none.
import {
  MIOBuffer,
  NetvcArgumentError,
  NetvcError,
  Reactor,
  tunnel,
  VCEvent,
  VCHandle,
  writeMany,
  type AcceptLimit,
  type Chooser,
  type ClosedConnectionInfo,
  type ConnectionInfo,
  type Distribute,
  type DrainResult,
  type IOBufferReader,
  type KeepAliveOptions,
  type Listener,
  type ConnectOptions,
  type ErrorCode,
  type ListenArguments,
  type ListenOptions,
  type Message,
  type MIOBufferOptions,
  type OriginTraceOptions,
  type QueueLimits,
  type ReactorOptions,
  type ReactorStats,
  type RegisterOptions,
  type ShutdownHow,
  type SocketOptions,
  type SocketOptionValues,
  type TcpInfo,
  type TcpState,
  type ThrottleState,
  type Tunnel,
  type TunnelOptions,
  type TunnelResult,
  type VConnection,
  type VConnectionInspection,
  type VIO,
  type VIOHandler,
  type WorkerInfo,
  type WriteCallback,
  type WriteManyResult,
  type WriteOptions,
} from 'netvc'
import { PassThrough, Readable } from 'node:stream'
import {
  TransformStream,
  type ReadableStream,
  type ReadableStreamBYOBReader,
} from 'node:stream/web'

export async function allowed(): Promise<void> {
  const options: ReactorOptions = { threads: 2 }
  await using reactor = new Reactor(options)
  const listening: ListenOptions = { backlog: 5, signal: AbortSignal.timeout(5), fd: 3 }
  await using listener: Listener = await reactor.listen(
    ['tcp://[::]:0', 'unix://@x'],
    accept,
    listening,
  )
  const addresses: readonly string[] = listener.addresses
  const connecting: ConnectOptions = { timeout: 5, localAddress: '127.0.0.1' }
  using vc: VConnection = await reactor.connect(addresses.join(), connecting)
  const adopted: Promise<VConnection> = reactor.adopt(3)
  const how: ShutdownHow = 'both'
  vc.doIoShutdown(how)
  const sizes: TunnelOptions = { blockSize: 4096 }
  const joined: Tunnel = tunnel(vc, await adopted, sizes)
  const { reason, aToB, error }: TunnelResult = await joined.closed
  const state: VConnectionInspection | undefined = vc.inspect()
  const stats: ReactorStats = reactor.ref().unref().stats()
  const values: [bigint, string | undefined, number | undefined] = [
    vc.id,
    vc.remoteHost,
    vc.localPort,
  ]
  void [reason, aToB, error?.code, state?.read.nbytes, stats.blocks, values]
}

function accept(vc: VConnection): void {
  const sizes: MIOBufferOptions = { waterMark: 0 }
  const buffer = new MIOBuffer(sizes)
  const reader: IOBufferReader = buffer.allocReader()
  const handler: VIOHandler = (event: VCEvent, vio: VIO) => {
    const bytes: Buffer = reader.read()
    const more: boolean = vc.write(bytes)
    if (event === VCEvent.EOS || !more) vio.vc.doIoClose()
    vio.nbytes += vio.ntodo - vio.ndone
  }
  const vio: VIO = vc.doIoRead(handler, Infinity, buffer)
  vc.doIoRead(null, 0, null)
  vc.doIoWrite({ handleEvent: (event, of) => void [event, of] }, 5, reader)
  vio.setContinuation(null)
  const name: string = VCEvent[VCEvent.READ_READY]
  const done: Promise<void> = vc.drained()
  void [name, done]
}

export async function iterated(reactor: Reactor): Promise<void> {
  const listener = await reactor.listen('tcp://[::]:0', { backlog: 5 })
  for await (const vc of listener) {
    vc.doIoClose()
    listener.pause()
    const paused: boolean = listener.paused
    listener.resume()
    if (paused) break
  }
  const joined: VConnection = reactor.fromStream(new PassThrough())
  // @ts-expect-error: one direction is not enough
  reactor.fromStream(Readable.from(['x']))
  joined.doIoClose()
  const all: ListenArguments = ['tcp://[::]:0', (vc) => vc.doIoClose(), { backlog: 5 }]
  await reactor.listen(...all)
  // @ts-expect-error: neither a handler nor options
  await reactor.listen('tcp://[::]:0', 5)
  // @ts-expect-error: an unknown option
  await reactor.listen('tcp://[::]:0', { back: 5 })
}

export async function streams(vc: VConnection, reader: IOBufferReader): Promise<void> {
  for await (const chunk of vc) {
    const bytes: Buffer = chunk
    if (bytes.length > 5) break
  }
  const readable: ReadableStream<Uint8Array> = vc.readable
  const byob: ReadableStreamBYOBReader = readable.getReader({ mode: 'byob' })
  const { value } = await byob.read(new Uint8Array(5))
  const writer = vc.writable.getWriter()
  await writer.write(value ?? 'text')
  await vc.readable.pipeThrough(new TransformStream<Uint8Array, string>()).pipeTo(vc.writable)
  const n: number = reader.readInto(new Uint8Array(5))
  void n
  // @ts-expect-error: neither bytes nor a string
  await writer.write(5)
  // @ts-expect-error: the same stream each time
  vc.readable = readable
}

export async function socket(vc: VConnection, reactor: Reactor): Promise<void> {
  const times: KeepAliveOptions = { idle: 5 }
  const options: SocketOptions = { keepAlive: times, notSentLowat: 5, congestionControl: 'bbr' }
  vc.setSocketOptions(options)
  const values: SocketOptionValues | undefined = vc.socketOptions()
  if (values) vc.setSocketOptions({ tos: values.tos, keepAlive: values.keepAlive })
  const info: TcpInfo | undefined = vc.tcpInfo()
  const state: TcpState | undefined = info?.state
  const sent: Promise<void> = vc.sendOOB('x')
  vc.cancelOOB()
  const trace: OriginTraceOptions = { fd: 2, maxBytes: 5 }
  vc.setOriginTrace(trace)
  vc.setOriginTrace(false)
  vc.setOriginTraceAddr('::1')
  vc.setOriginTracePort(5)
  await reactor.connect('tcp://[::1]:1', { localPortRange: [1, 2], keepAlive: times })
  await reactor.listen('tcp://[::1]:1', accept, { transparent: true, maxSegmentSize: 500 })
  void [state, info?.deliveryRate, await sent]
}

export async function fromAnywhere(id: bigint, owned: VConnection): Promise<void> {
  const handle: VCHandle | undefined = Reactor.address(id)
  const vc: VCHandle = handle ?? owned
  const message: Message = ['head', new Uint8Array(5)]
  const told: WriteCallback = (error) => void (error satisfies NetvcError | null)
  const options: WriteOptions = { timeout: 5, pipelinedCount: 1, auth: true }
  const promised: Promise<void> = vc.write(message, { ...options, completion: true })
  const more: boolean = vc.write('x', { completion: told, ignoreOvercrowded: true })
  const either: boolean | Promise<void> = owned.write('x', options)
  await Promise.all([promised, either, vc.drained()])
  const forget: () => void = vc.onFailed((error: NetvcError) => void error.code)
  forget()
  const first: boolean = vc.setFailed(new Error('x')) || vc.setFailed('x') || vc.setFailed()
  const why: NetvcError | undefined = vc.failed ? vc.failure : undefined
  vc.maxUnwritten = vc.writableHighWaterMark + vc.writableLowWaterMark + vc.writableLength
  vc.setWriteMarks(5)
  const next: { count: number; auth: boolean } | undefined = vc.popPipelined()
  const { accepted, refused }: WriteManyResult = writeMany([vc, id], 'x')
  const ids: bigint[] = refused.map((one) => one.id)
  vc.closeGracefully(5)
  vc.closeWithReset()
  void [more, first, why, next, accepted, ids, vc.overcrowded]
}

export async function workers(reactor: Reactor): Promise<void> {
  const shared: Reactor = Reactor.shared({ threads: 2 })
  const options: RegisterOptions = { onExit: 'park' }
  shared.register((vc: VConnection) => vc.assign(5), options)
  const choose: Chooser = (vc, list: WorkerInfo[]) => (vc.closed ? undefined : list[0]?.threadId)
  const ways: Distribute[] = ['round-robin', 'least-connections', 'random', choose]
  await reactor.listen('tcp://[::]:0', accept, { distribute: ways[0] })
  const parked: bigint[] = shared.parked()
  const forget: () => void = shared.onParked((id: bigint) => Reactor.address(id)?.assign(1))
  shared.unregister()
  void [parked, forget, shared.workers()[0]?.registered]
}

export function refusedAnywhere(vc: VCHandle, reactor: Reactor): void {
  // @ts-expect-error: only its owner reads
  vc.doIoRead(() => {}, 1, null)
  // @ts-expect-error: a number is no id
  Reactor.address(1)
  // @ts-expect-error: an unknown option
  void vc.write('x', { deadline: 5 })
  // @ts-expect-error: neither a boolean nor a function
  void vc.write('x', { completion: 1 })
  // @ts-expect-error: one connection is no list
  writeMany(vc, 'x')
  // @ts-expect-error: no such policy
  reactor.register(() => {}, { onExit: 'stay' })
  // @ts-expect-error: no such distribution
  void reactor.listen('tcp://[::]:0', accept, { distribute: 'fair' })
  // @ts-expect-error: not an error
  vc.setFailed(5)
  // @ts-expect-error: made by Reactor.address
  void (new VCHandle() satisfies VCHandle)
}

export async function limits(reactor: Reactor, vc: VConnection): Promise<number> {
  const queues: QueueLimits = { maxQueued: 100 }
  reactor.setQueueLimits(queues)
  new Reactor({ threads: 2, maxActive: 10, maxConnections: 1000 })
  const admitted: boolean = await vc.addToActiveQueue()
  if (admitted) vc.addToKeepAliveQueue()
  else vc.removeFromQueues()
  await vc.migrate(1)
  Reactor.setThrottle(-1)
  const { open, limit, emergency }: ThrottleState = Reactor.throttle()
  const rows: ConnectionInfo[] = reactor.connections()
  const gone: ClosedConnectionInfo[] = reactor.recentlyClosed()
  const told = (what: AcceptLimit) => void what
  await reactor.listen('tcp://127.0.0.1:0', () => {}, {
    idleTimeout: 1000,
    backdoor: true,
    onLimited: told,
  })
  const { closed }: DrainResult = await reactor.drain({
    deadline: 1,
    beforeClose: ({ closed }) => void closed,
  })
  const waits = rows.filter(({ queue }) => queue === 'keep-alive').length
  return emergency ? limit - open : closed + gone.length + waits
}

export function refused(vc: VConnection, reader: IOBufferReader, buffer: MIOBuffer): void {
  // @ts-expect-error: an unknown option
  new Reactor({ thread: 1 })
  // @ts-expect-error: only before there is a connection
  vc.setSocketOptions({ maxSegmentSize: 500 })
  // @ts-expect-error: a buffer where a reader is wanted
  vc.doIoWrite(() => {}, 1, buffer)
  // @ts-expect-error: a reader where a buffer is wanted
  vc.doIoRead(() => {}, 1, reader)
  // @ts-expect-error: no such side
  vc.doIoShutdown('rdwr')
  // @ts-expect-error: neither bytes nor a string
  void vc.write([1, 2, 3])
  // @ts-expect-error: only the engine counts
  vc.doIoRead(null, 0, null).ndone = 1
  // @ts-expect-error: a name stays a name
  vc.id = 1n
  // @ts-expect-error: a number of bytes
  reader.consume('1')
}

export function errors(error: unknown): string | undefined {
  if (error instanceof NetvcArgumentError) return error.code
  if (!(error instanceof NetvcError)) return undefined
  const known: ErrorCode = 'EOVERCROWDED'
  const number: number | undefined = error.errno
  void number
  return error.code === known ? error.syscall : error.address
}
