import { outOfRange, systemError, wrongType } from './errors.js'
import { GONE, native } from './native.js'
import { checkOptions } from './options.js'
import { assertThere } from './socket-options.js'
import type { VCSocket } from './socket.js'

/** Where the lines of VConnection.setOriginTrace() go, and how long they are. */
export interface OriginTraceOptions {
  /** An open descriptor; the trace has a duplicate of it. Default 2, stderr. */
  fd?: number
  /** Bytes of each call that are shown, 0..65536. Default 256. */
  maxBytes?: number
}

/** @internal VConnection.setOriginTrace */
export function setOriginTrace(vc: VCSocket, trace: boolean | OriginTraceOptions): void {
  if (typeof trace !== 'boolean') {
    if (typeof trace !== 'object' || trace === null)
      throw wrongType('trace', 'a boolean or an object', trace)
    checkOptions('setOriginTrace', trace)
  }
  if (trace === false) {
    if (vc.closed) return
    assertThere(vc, 'setOriginTrace')
    native.setOriginTrace(vc.slot, vc.version, -1, 0)
    return
  }
  assertThere(vc, 'setOriginTrace')
  const { fd = 2, maxBytes = 256 } = trace === true ? {} : trace
  const r = native.setOriginTrace(vc.slot, vc.version, fd, maxBytes)
  if (r < 0 && r !== GONE) throw systemError(r, 'setOriginTrace', `fd ${String(fd)}`)
}

/** @internal VConnection.setOriginTraceAddr */
export function setOriginTraceAddr(vc: VCSocket, host: string): void {
  if (typeof host !== 'string') throw wrongType('host', 'a string', host)
  assertThere(vc, 'setOriginTraceAddr')
  native.setOriginTraceAddr(vc.slot, vc.version, host)
}

/** @internal VConnection.setOriginTracePort */
export function setOriginTracePort(vc: VCSocket, port: number): void {
  if (typeof port !== 'number') throw wrongType('port', 'a port', port)
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw outOfRange('port', 'a port, 0..65535', port)
  assertThere(vc, 'setOriginTracePort')
  native.setOriginTracePort(vc.slot, vc.version, port)
}
