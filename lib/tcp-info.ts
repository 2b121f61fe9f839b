import { native } from './native.js'
import type { VCSocket } from './socket.js'

const states = [
  'UNKNOWN',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
  'NEW_SYN_RECV',
] as const
export type TcpState = (typeof states)[number]

/**
 * What the kernel knows of a TCP connection (TCP_INFO). A field that this kernel does not have is
 * missing. Names that end in Us are microseconds, in Ms milliseconds; rates are bytes per second;
 * counters count from the beginning of the connection.
 */
export interface TcpInfo {
  state: TcpState
  /** 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss. */
  congestionState: number
  /** Retransmissions in a row, of what is unacknowledged now. */
  retransmits: number
  /** Window and keep-alive probes without an answer. */
  probes: number
  backoff: number
  /** 1 timestamps, 2 SACK, 4 window scaling, 8 ECN, 16 ECN seen, 32 data in SYN. */
  options: number
  /** The retransmission timeout. */
  rtoUs: number
  delayedAckUs: number
  /** Bytes of a segment that is sent. */
  mss: number
  /** Bytes of a segment, as the peer's look. */
  receiveMss: number
  /** Segments sent and not acknowledged. */
  unacked: number
  /** Of these: acknowledged selectively. */
  sacked: number
  /** Of these: taken for lost. */
  lost: number
  /** Of these: sent again. */
  retransmitting: number
  lastDataSentMs: number
  lastDataReceivedMs: number
  lastAckReceivedMs: number
  /** Bytes. */
  pathMtu: number
  /** Bytes. */
  receiveSlowStartThreshold: number
  /** The smoothed round-trip time. */
  rttUs: number
  rttVarUs: number
  /** Segments; Infinity while it was never reached. */
  slowStartThreshold: number
  /** Segments. */
  congestionWindow: number
  /** Bytes of a segment that the peer may send. */
  advertisedMss: number
  /** Segments. */
  reordering: number
  /** As estimated from what arrives; 0 while unknown. */
  receiveRttUs: number
  /** Bytes that are read per round trip. */
  receiveSpace: number
  /** Segments sent again. */
  totalRetransmits: number
  pacingRate?: number
  /** Infinity: no limit. */
  maxPacingRate?: number
  /** Bytes that the peer has acknowledged; its FIN and our SYN may count as one each. */
  bytesAcked?: number
  /** Bytes of the peer that are in the stream. */
  bytesReceived?: number
  segmentsOut?: number
  segmentsIn?: number
  /** Bytes that the kernel has taken and not sent yet. */
  notSentBytes?: number
  minRttUs?: number
  dataSegmentsIn?: number
  dataSegmentsOut?: number
  /** Bytes per second that the peer has acknowledged lately. */
  deliveryRate?: number
  /** Time with something to send. */
  busyUs?: number
  /** Of it: held up by the peer's window. */
  receiveWindowLimitedUs?: number
  /** Of it: held up by the send buffer. */
  sendBufferLimitedUs?: number
  /** Segments that have arrived. */
  delivered?: number
  /** Of these: with a mark of congestion. */
  deliveredCe?: number
  /** Bytes sent, those sent again included. */
  bytesSent?: number
  bytesRetransmitted?: number
  duplicateSacks?: number
  /** Times that segments came in another order. */
  reorderSeen?: number
  outOfOrderPackets?: number
  /** Bytes that the peer would take. */
  sendWindow?: number
  /** Bytes that this side would take. */
  receiveWindow?: number
}

const infiniteSegments = 0x7fffffff

/** @internal VConnection.tcpInfo */
export function tcpInfo(vc: VCSocket): TcpInfo | undefined {
  const info = native.tcpInfo(vc.slot, vc.version)
  if (!info) return undefined
  const { state = 0, slowStartThreshold = 0 } = info
  return {
    ...(info as unknown as TcpInfo),
    state: states[state] ?? 'UNKNOWN',
    slowStartThreshold: slowStartThreshold >= infiniteSegments ? Infinity : slowStartThreshold,
  }
}
