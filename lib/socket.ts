import { NativePromise } from './globals.js'
import { VCHandle } from './handle.js'
import { toBytes } from './mio-buffer.js'
import { native } from './native.js'
import { expectNotice } from './notices.js'
import { pairInfo, type PairInfo } from './pairs.js'
import { peerCredentials, type PeerCredentials } from './peer-credentials.js'
import {
  setSocketOptions,
  socketOptions,
  type SocketOptions,
  type SocketOptionValues,
} from './socket-options.js'
import { tcpInfo, type TcpInfo } from './tcp-info.js'
import * as trace from './trace.js'
import { checkDataName, pairData, setData, type VCData } from './vc-data.js'
import type { VIO } from './vio.js'

/** What a VConnection can do with its socket: docs/socket-options.md. */
export abstract class VCSocket extends VCHandle {
  /** @internal */
  abstract readonly assigned: boolean
  /** @internal */
  abstract assertUsable(what: string, sides?: number, cancels?: boolean): void

  /** @internal */
  abstract readonly readVio: VIO | undefined
  /** @internal */
  abstract readonly writeVio: VIO | undefined
  /** @internal */
  protected abstract readonly howClosed: 0 | 1 | -1

  /** What it knows of its pair; undefined for a connection with a socket. See Reactor.pair(). */
  get pair(): PairInfo | undefined {
    return pairInfo(this.slot, this.version)
  }
  /**
   * What Traffic Server's get_data() knows of it (VC-7, PV-25). `local` and `remote` are copies, the
   * same from whichever thread has that end; undefined when nothing was set, it is not an end of a
   * pair, or it is gone. Throws ERR_INVALID_ARG_VALUE for another name.
   */
  getData<K extends keyof VCData>(what: K): VCData[K]
  getData(what: keyof VCData): unknown {
    checkDataName(what)
    if (what === 'local' || what === 'remote') {
      return this.closed ? undefined : pairData(this, what)
    }
    return what === 'closed' ? this.howClosed : this[what]
  }
  /**
   * A value that both ends of a pair can look at, wherever they are: `local` of one is `remote` of
   * the other (PV-25). A structured clone is kept, of 64 KiB at most, until the pair is gone;
   * undefined takes it away. False: a connection with a socket keeps none, and the other names
   * cannot be set (VC-7). Throws ERR_INVALID_ARG_TYPE for what cannot be cloned, ERR_OUT_OF_RANGE for
   * what is too large, ERR_VC_CLOSED, ERR_VC_NOT_OWNER.
   */
  setData(what: keyof VCData, value: unknown): boolean {
    return setData(this, what, value)
  }
  /** Its descriptor, or -1: a pair has none, nor has what is gone. Waits a turn, as the next three. */
  get fd(): number {
    return this.inspect()?.fd ?? -1
  }
  /** Its number in this process, increasing and never 0 (VC-8); undefined when it is gone. */
  get sequence(): number | undefined {
    return this.inspect()?.sequence
  }
  /** Whether it was accepted or connected; undefined when it is gone. */
  get context(): 'in' | 'out' | undefined {
    const context = this.inspect()?.context
    return context === 1 ? 'in' : context === 2 ? 'out' : undefined
  }
  /** Bytes that the kernel has not seen acknowledged (VC-9); -1 if unknown. */
  get outstanding(): number {
    return this.inspect()?.outstanding ?? -1
  }
  /**
   * Changes options of the socket, in this order, each at once: docs/socket-options.md. What the
   * system refuses throws its code (EPERM, ENOENT, EOPNOTSUPP, ...) and names the option; those
   * before it stay set. Waits a turn of the connection's thread for each.
   */
  setSocketOptions(options: SocketOptions): void {
    setSocketOptions(this, options)
  }
  /** What the kernel says they are now; undefined when the connection is gone. Waits for a turn. */
  socketOptions(): SocketOptionValues | undefined {
    return socketOptions(this)
  }
  /** TCP_INFO: how the kernel is doing with it. undefined when it is gone, or not TCP. Waits for a turn. */
  tcpInfo(): TcpInfo | undefined {
    return tcpInfo(this)
  }
  /**
   * The process at the other end of a unix socket (SO_PEERCRED), as it was when it connected, for
   * the side that accepts, or called listen(), for the side that connects; of an adopted socket
   * pair, who made it. undefined when the connection is gone. Throws EOPNOTSUPP when it is not a
   * unix socket. Waits for a turn.
   */
  peerCredentials(): PeerCredentials | undefined {
    return peerCredentials(this)
  }
  /**
   * Sends urgent bytes (MSG_OOB), in front of all that waits to be sent, but not within a message;
   * the last one is marked.
   * Resolves when the kernel has them; what it does not take is tried again every 10 ms. Rejects with
   * ERR_OOB_PENDING while others are under way, ERR_OOB_CANCELLED after cancelOOB(), ERR_VC_CLOSED
   * and ERR_VC_SHUT when that comes first, EINVAL for no bytes, or the system's code.
   */
  async sendOOB(data: Uint8Array | string): Promise<void> {
    const bytes = toBytes(data, 'data')
    this.assertUsable('sendOOB', 2)
    await new NativePromise<void>((resolve, reject) => {
      const token = expectNotice((code, text) => {
        if (code === 0) resolve()
        else reject(this.errorOf(code, 'sendOOB', text))
      }, this.keepsAlive)
      native.sendOOB(this.slot, this.version, bytes, token)
    })
  }
  /** Gives up what sendOOB() has not sent; part of it may have left (OB-2). */
  cancelOOB(): void {
    this.assertUsable('cancelOOB', 0, true)
    native.cancelOOB(this.slot, this.version)
  }
  /**
   * A line for each call that reads or writes the socket, from now on, for people who look for a
   * fault: the peer, the client, and the bytes. true: to stderr. Waits for a turn.
   */
  setOriginTrace(on: boolean | trace.OriginTraceOptions): void {
    trace.setOriginTrace(this, on)
  }
  /** Whose request the connection serves, as the lines are to say. `''`: nobody's. */
  setOriginTraceAddr(host: string): void {
    trace.setOriginTraceAddr(this, host)
  }
  /** The port that goes with setOriginTraceAddr(), 0..65535. */
  setOriginTracePort(port: number): void {
    trace.setOriginTracePort(this, port)
  }
}
