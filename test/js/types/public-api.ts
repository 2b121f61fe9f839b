// Compiled by tsconfig.test.json (npm run lint) and never run: what users write must have types,
// and what they must not write must have none.
import {
  MIOBuffer,
  NetvcArgumentError,
  NetvcError,
  Reactor,
  tunnel,
  VCEvent,
  type IOBufferReader,
  type Listener,
  type ConnectOptions,
  type ErrorCode,
  type ListenOptions,
  type MIOBufferOptions,
  type ReactorOptions,
  type ReactorStats,
  type ShutdownHow,
  type Tunnel,
  type TunnelOptions,
  type TunnelResult,
  type VConnection,
  type VConnectionInspection,
  type VIO,
  type VIOHandler,
} from 'netvc'

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

export function refused(vc: VConnection, reader: IOBufferReader, buffer: MIOBuffer): void {
  // @ts-expect-error: an unknown option
  new Reactor({ thread: 1 })
  // @ts-expect-error: a buffer where a reader is wanted
  vc.doIoWrite(() => {}, 1, buffer)
  // @ts-expect-error: a reader where a buffer is wanted
  vc.doIoRead(() => {}, 1, reader)
  // @ts-expect-error: no such side
  vc.doIoShutdown('rdwr')
  // @ts-expect-error: neither bytes nor a string
  vc.write([1, 2, 3])
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
