export { NetvcError, NetvcArgumentError, type ErrorCode, type NetvcErrorFields } from './errors.js'
export { VCEvent } from './events.js'
export type { ListenArguments } from './listeners.js'
export { Listener, type ListenerStats } from './listener.js'
export { IOBufferReader, MIOBuffer, type MIOBufferOptions } from './mio-buffer.js'
export type {
  AcceptLimit,
  ConnectionOptions,
  ConnectOptions,
  ListenOptions,
  ReactorOptions,
} from './options.js'
export type { PeerCredentials } from './peer-credentials.js'
export type { PairInfo, PairOptions } from './pairs.js'
export { Reactor } from './reactor.js'
export type { NativeStats as ReactorStats } from './native.js'
export type { ClosedConnectionInfo, ConnectionInfo } from './connections.js'
export type { QueueLimits, ThrottleState } from './queues.js'
export type { DrainOptions, DrainResult } from './drain.js'
export type { KeepAliveOptions, SocketOptions, SocketOptionValues } from './socket-options.js'
export type { TcpInfo, TcpState } from './tcp-info.js'
export type { TimeoutOptions } from './timeouts.js'
export type { OriginTraceOptions } from './trace.js'
export { Tunnel, tunnel, type TunnelOptions, type TunnelResult } from './tunnel.js'
export {
  VCHandle,
  type Message,
  type VConnectionInspection,
  type WriteCallback,
  type WriteOptions,
} from './handle.js'
export { VCStream, type VCStreamOptions } from './stream.js'
export { VConnection, type ShutdownHow } from './vconnection.js'
export { writeMany, type WriteManyResult } from './write-many.js'
export type { VCData } from './vc-data.js'
export { VIO, type VIOHandler } from './vio.js'
export type { Chooser, Distribute, RegisterOptions, WorkerInfo } from './workers.js'
