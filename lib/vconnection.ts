import { systemError, NetvcError, outOfRange, wrongType } from './errors.js'
import { Record, VCEvent } from './events.js'
import { hold, holdAgain, letGo, lookLater } from './hold.js'
import { IOBufferReader, MIOBuffer, toBytes } from './mio-buffer.js'
import { Control, native, type NativeAddress, type NativeInspection } from './native.js'
import { checkBytes, maxInt } from './options.js'
import type { Reactor } from './reactor.js'
import type { Tunnel } from './tunnel.js'
import { handlerFunction, VIO, type VIOHandler } from './vio.js'

/** Messages up to this size are collected in shared memory and sent together. */
const smallMessage = 4096
/** A connection with so much collected does not wait for the end of the batch. */
const flushEarly = 64 * 1024
const outBytes = native.out.length
const maxCommands = native.commands.length / 4
/** write() answers false from here on; drained() waits for half of it. */
const highWaterMark = 256 * 1024
/** write() refuses with EOVERCROWDED from here on. */
const overcrowded = 64 * 1024 * 1024

const { control, commands, out } = native
let flushPlanned = false

function flushNow(): void {
  flushPlanned = false
  native.flush()
}

/** What inspect() shows: a snapshot for people and tests, not a stable interface. */
export interface VConnectionInspection extends NativeInspection {
  id: bigint
  remoteAddress: string | undefined
  localAddress: string | undefined
}

export type ShutdownHow = 'read' | 'write' | 'both'

/**
 * A connection: TCP or unix stream socket, accepted or connected. Semantics: Apache Traffic
 * Server's NetVConnection (docs/vio.md). All handlers run on the JavaScript thread that has the
 * reactor, never on the caller's stack (but see VIO.reenableRe), and none after doIoClose().
 */
export class VConnection {
  /** @internal */ readonly slot: number
  /** @internal */ readonly version: number
  /** @internal */ readonly reactor: Reactor
  /** @internal */ tunnel: Tunnel | undefined
  #read: VIO | undefined
  #write: VIO | undefined
  #closed = false
  #shut = 0
  #error: NetvcError | undefined
  #submitted = 0
  #drain: { promise: Promise<void>; resolve: () => void; reject: (e: Error) => void } | undefined
  #remote: NativeAddress | undefined
  #local: NativeAddress | undefined

  /** @internal Made by Reactor. */
  constructor(reactor: Reactor, slot: number, version: number) {
    this.reactor = reactor
    this.slot = slot
    this.version = version
    hold(this)
  }

  /** Names the connection for ever: plain data, never reused for another connection. */
  get id(): bigint {
    return (BigInt(this.version >>> 0) << 32n) | BigInt(this.slot >>> 0)
  }

  /** True after doIoClose(), or when the connection ended with nobody armed to hear of it. */
  get closed(): boolean {
    return this.#closed
  }

  /** Why the last EOS or ERROR came; undefined after an orderly end. */
  get error(): NetvcError | undefined {
    return this.#error
  }

  /**
   * Reads nbytes (Infinity: until EOS) into buffer; handler is told READ_READY as they come, then
   * READ_COMPLETE, EOS or ERROR. Replaces a read operation that is under way.
   * doIoRead(null, 0, null) cancels. The answer is the same VIO every time.
   */
  doIoRead(handler: VIOHandler | null, nbytes: number, buffer: MIOBuffer | null): VIO {
    const call = handlerFunction(handler)
    checkBytes(nbytes, 'nbytes')
    if (buffer !== null && !(buffer instanceof MIOBuffer)) {
      throw wrongType('buffer', 'a MIOBuffer or null', buffer)
    }
    this.assertUsable('doIoRead', 1, buffer === null)
    if (buffer?.isFreed === true) throw new NetvcError('ERR_BUFFER_FREED', 'the buffer was freed')
    const vio = (this.#read ??= new VIO(this, 0))
    // Another connection may fill it by now.
    if (vio.buffer?.source === vio) vio.buffer.source = undefined
    vio.arm(buffer ? call : undefined, buffer ? nbytes : 0)
    vio.buffer = buffer ?? undefined
    if (buffer) buffer.source = vio
    this.#armed(vio)
    if (this.#closed) return vio
    native.doIoRead(
      this.slot,
      this.version,
      vio.generation,
      vio.nbytes,
      call && buffer ? buffer.handle : -1,
    )
    return vio
  }

  /**
   * Writes nbytes (Infinity: as long as there are any) from reader; handler is told WRITE_READY
   * when more bytes are wanted, then WRITE_COMPLETE, EOS or ERROR. Bytes added to the reader's
   * buffer inside a WRITE_READY handler are taken without a reenable.
   */
  doIoWrite(handler: VIOHandler | null, nbytes: number, reader: IOBufferReader | null): VIO {
    const call = handlerFunction(handler)
    checkBytes(nbytes, 'nbytes')
    if (reader !== null && !(reader instanceof IOBufferReader)) {
      throw wrongType('reader', 'an IOBufferReader or null', reader)
    }
    this.assertUsable('doIoWrite', 2, reader === null)
    if (reader) void reader.readAvail // throws when it, or its buffer, is gone
    const vio = (this.#write ??= new VIO(this, 1))
    vio.arm(reader ? call : undefined, reader ? nbytes : 0)
    vio.reader = reader ?? undefined
    this.#armed(vio)
    if (this.#closed) return vio
    const handle = call && reader ? reader.buffer.handle : -1
    native.doIoWrite(
      this.slot,
      this.version,
      vio.generation,
      vio.nbytes,
      handle,
      reader?.index ?? -1,
    )
    return vio
  }

  /**
   * Sends bytes (a string as UTF-8) as one message, ahead of bytes that a write operation has not
   * sent yet. Everything written in one turn of the event loop leaves together.
   *
   * Answers false when more than 256 KiB wait: better call drained() before the next. Throws
   * ERR_VC_CLOSED, ERR_VC_SHUT, ERR_VC_TUNNELED, or EOVERCROWDED when 64 MiB wait already (then
   * nothing of the message is sent).
   */
  write(data: Uint8Array | string): boolean {
    const bytes = data instanceof Uint8Array ? data : toBytes(data, 'data')
    if (this.#closed || this.#shut >= 2 || this.tunnel) this.assertUsable('write', 2)
    const n = bytes.length
    if (this.#submitted + n > highWaterMark) this.#admit()
    this.#submitted += n
    if (n > smallMessage) {
      native.write(this.slot, this.version, bytes)
      return this.#submitted <= highWaterMark
    }
    if (n === 0) return true
    let at = control[Control.OUT_USED]
    if (at + n > outBytes || control[Control.COMMANDS] >= maxCommands) {
      native.flush()
      at = 0
    }
    out.set(bytes, at)
    const count = control[Control.COMMANDS]
    const last = count * 4 - 4
    if (count > 0 && commands[last] === this.slot && commands[last + 1] === this.version) {
      if ((commands[last + 3] += n) > flushEarly) native.flush()
      else control[Control.OUT_USED] = at + n
    } else {
      const next = count * 4
      commands[next] = this.slot
      commands[next + 1] = this.version
      commands[next + 2] = at
      commands[next + 3] = n
      control[Control.COMMANDS] = count + 1
      control[Control.OUT_USED] = at + n
    }
    if (control[Control.IN_BATCH] === 0 && !flushPlanned) {
      flushPlanned = true
      process.nextTick(flushNow)
    }
    return this.#submitted <= highWaterMark
  }

  /** Asks the engine what really waits. Throws when that is too much. */
  #admit(): void {
    native.flush()
    this.#submitted = Math.max(0, native.unsent(this.slot, this.version))
    if (this.#submitted >= overcrowded) {
      const text = `write: ${String(this.#submitted)} bytes wait already for a peer that does not read`
      throw new NetvcError('EOVERCROWDED', text)
    }
  }

  /** Bytes given to write() that the kernel has not taken. */
  get writableLength(): number {
    if (this.#closed) return 0
    native.flush()
    return Math.max(0, native.unsent(this.slot, this.version))
  }

  /** Resolves when at most 128 KiB wait to be sent; rejects when the connection ends before. */
  drained(): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closedError('drained'))
    if (this.tunnel) return Promise.reject(tunneledError('drained'))
    if (this.#drain) return this.#drain.promise
    const drain = (this.#drain = withResolvers())
    this.becameBusy()
    native.notifyDrained(this.slot, this.version, highWaterMark / 2)
    return drain.promise
  }

  /**
   * Ends one or both directions: no event of that side follows. Messages given to write() before
   * leave first; bytes of a write operation that were not sent are not flushed. doIoClose() is
   * still needed.
   */
  doIoShutdown(how: ShutdownHow): void {
    const sides = how === 'read' ? 1 : how === 'write' ? 2 : how === 'both' ? 3 : 0
    if (sides === 0) throw wrongType('how', "'read', 'write' or 'both'", how)
    this.assertUsable('doIoShutdown')
    this.#shut |= sides
    if (sides & 1) this.#read?.disarm()
    if (sides & 2) this.#write?.disarm()
    native.shutdown(this.slot, this.version, sides)
    lookLater(this)
  }

  /**
   * Closes the connection. From its return on no handler of it is called. Messages given to write()
   * before are still sent, for ten seconds at most, unless an errno is given: then it is an abort.
   * Closing twice is harmless.
   */
  doIoClose(errno?: number): void {
    if (errno !== undefined) {
      if (typeof errno !== 'number') throw wrongType('errno', 'a number', errno)
      if (!Number.isInteger(errno) || errno < 0 || errno > maxInt) {
        throw outOfRange('errno', 'a positive system error number', errno)
      }
    }
    if (this.#closed) return
    native.close(this.slot, this.version, errno ?? -1)
    if (errno === undefined && native.unsent(this.slot, this.version) > 0)
      this.reactor.waitForUnsent()
    this.markClosed(undefined)
  }

  [Symbol.dispose](): void {
    this.doIoClose()
  }

  /** One-shot: WRITE_BUFFER_EMPTY when the write operation has emptied its buffer (WR-11). */
  trapWriteBufferEmpty(on = true): void {
    this.assertUsable('trapWriteBufferEmpty', 2)
    native.trapWriteBufferEmpty(this.slot, this.version, on ? 1 : 0)
  }

  /** `tcp://127.0.0.1:54321`, `unix:///path`; `unix://` for a peer without a name. */
  get remoteAddress(): string | undefined {
    return this.#address(0)?.[0]
  }
  get remoteHost(): string | undefined {
    return this.#address(0)?.[1]
  }
  get remotePort(): number | undefined {
    return this.#address(0)?.[2]
  }
  get localAddress(): string | undefined {
    return this.#address(1)?.[0]
  }
  get localHost(): string | undefined {
    return this.#address(1)?.[1]
  }
  get localPort(): number | undefined {
    return this.#address(1)?.[2]
  }

  #address(local: 0 | 1): NativeAddress | undefined {
    const known = local ? this.#local : this.#remote
    if (known !== undefined || this.#closed) return known
    const address = native.address(this.slot, this.version, local)
    if (local) this.#local = address
    else this.#remote = address
    return address
  }

  /** The engine's state of the connection, or undefined when it is closed. On net threads this waits a turn. */
  inspect(): VConnectionInspection | undefined {
    if (this.#closed) return undefined
    const state = native.inspect(this.slot, this.version)
    if (!state) return undefined
    const { id, remoteAddress, localAddress } = this
    return { id, remoteAddress, localAddress, ...state }
  }

  // --- what the other files of lib use -------------------------------------------------------

  /** @internal */
  get busy(): boolean {
    return (
      this.#read?.armed === true ||
      this.#write?.armed === true ||
      this.tunnel !== undefined ||
      this.#drain !== undefined
    )
  }

  /** @internal */
  becameBusy(): void {
    if (!this.#closed) holdAgain(this)
  }

  /** @internal Takes both operations away from their handlers, for a tunnel; the read buffer, or -1. */
  handOver(tunnel: Tunnel): number {
    const source = this.#read?.buffer
    const buffer = source && !source.isFreed ? source.handle : -1
    this.#read?.disarm()
    this.#write?.disarm()
    this.#drain?.reject(tunneledError('drained'))
    this.#drain = undefined
    this.tunnel = tunnel
    this.becameBusy()
    return buffer
  }

  /** @internal */
  markClosed(error: NetvcError | undefined): void {
    if (this.#closed) return
    this.#closed = true
    if (error) this.#error = error
    this.#read?.disarm()
    this.#write?.disarm()
    letGo(this)
    this.#drain?.reject(this.#error ?? this.#closedError('drained'))
    this.#drain = undefined
    this.reactor.connectionEnded()
  }

  /** @internal */
  onVioEvent(kind: VCEvent, side: number, generation: number, count: number, errno: number): void {
    const vio = side === 0 ? this.#read : this.#write
    // Not armed: it has had its end, and something enabled it once more.
    if (vio?.generation !== generation || !vio.armed) return
    vio.moved(count)
    if (kind >= VCEvent.READ_COMPLETE && kind <= VCEvent.ERROR) {
      if (kind < VCEvent.EOS && vio.ntodo > 0) {
        // nbytes was raised before this was told: not the end, then (INV-3).
        kind = side === 0 ? VCEvent.READ_READY : VCEvent.WRITE_READY
        native.reenable(this.slot, this.version, side)
      } else {
        vio.armed = false
      }
      if (kind >= VCEvent.EOS) {
        vio.ended = true
        this.#error = errno ? systemError(errno, side === 0 ? 'read' : 'write') : undefined
      }
      lookLater(this)
    }
    const { handler } = vio
    if (!handler) return
    if (kind !== VCEvent.WRITE_READY) {
      handler(kind, vio)
      return
    }
    // What the handler adds is taken without a reenable (WR-5).
    const buffer = vio.reader?.buffer
    const before = buffer?.produced ?? 0
    handler(kind, vio)
    if (vio.generation === generation && buffer && !buffer.isFreed && buffer.produced !== before) {
      native.reenable(this.slot, this.version, 1)
    }
  }

  /** @internal */
  onRecord(kind: number, generation: number, errno: number): void {
    if (kind === Record.BUFFER_FULL) {
      const vio = this.#read
      if (vio?.generation !== generation || !vio.buffer || vio.buffer.isFreed) return
      // The handler may have made room already, before it was known to be needed.
      vio.full = true
      if (!vio.buffer.highWater) vio.reenable()
    } else if (kind === Record.DRAINED) {
      this.#submitted = 0
      this.#drain?.resolve()
      this.#drain = undefined
      lookLater(this)
    } else {
      this.markClosed(errno ? systemError(errno, 'write') : undefined)
    }
  }

  #armed(vio: VIO): void {
    if (vio.armed) this.becameBusy()
    else lookLater(this)
  }

  #closedError(what: string): NetvcError {
    const text = `${what}: the connection is closed${this.#error ? ` (${this.#error.code})` : ''}`
    return new NetvcError('ERR_VC_CLOSED', text)
  }

  /**
   * @internal sides: 1 read, 2 write; the cancel forms are tolerated on a closed connection (VC-1).
   */
  assertUsable(what: string, sides = 0, cancels = false): void {
    if (this.#closed && cancels) return
    if (this.#closed) throw this.#closedError(what)
    if (this.tunnel) throw tunneledError(what)
    if (!cancels && this.#shut & sides) {
      const side = this.#shut & sides & 1 ? 'reading' : 'writing'
      throw new NetvcError('ERR_VC_SHUT', `${what}: the ${side} side was shut down`)
    }
  }
}

function tunneledError(what: string): NetvcError {
  return new NetvcError('ERR_VC_TUNNELED', `${what}: the connection belongs to a tunnel`)
}

// Promise.withResolvers is not in Node 20.
function withResolvers() {
  let resolve!: () => void
  let reject!: (e: Error) => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
