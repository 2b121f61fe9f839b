import { NetvcError } from './errors.js'
import { VCEvent } from './events.js'
import { NativePromise, nextTick } from './globals.js'
import { MIOBuffer, type IOBufferReader } from './mio-buffer.js'
import type { VConnection } from './vconnection.js'

/** Who reads a connection by pulling. */
export type Puller = 'for await' | 'readable' | 'fromStream'

/** @internal The only one that reads vc from now on. Throws ERR_VC_READING, or as doIoRead. */
export function pullReader(vc: VConnection, user: Puller): PullReader {
  if (vc.pull?.user === user) return vc.pull
  vc.assertUsable(user, 1)
  if (vc.pull || vc.duplex || vc.reading) throw readingError(vc, user)
  return (vc.pull = new PullReader(vc, user))
}

/** @internal */
export function readingError(vc: VConnection, what: string): NetvcError {
  const who = vc.pull?.user ?? (vc.duplex ? 'its stream()' : 'an operation of doIoRead')
  const remedy = vc.duplex ? ', whose detach() gives it back' : ''
  return new NetvcError(
    'ERR_VC_READING',
    `${what}: the connection is read by ${who} already${remedy}`,
  )
}

/**
 * @internal The reading side of a connection for those who ask for bytes: one operation into one
 * buffer, which stops by itself when nobody takes them. Armed when it is asked first, and again
 * when VConnection.migrate() is through.
 */
export class PullReader {
  readonly #vc: VConnection
  readonly #buffer = new MIOBuffer()
  readonly #reader: IOBufferReader = this.#buffer.allocReader()
  #armed = false
  #ended = false
  #failed = false
  #error: NetvcError | undefined
  #waiting: Promise<void> | undefined
  #wake: (() => void) | undefined
  /** Told once, when no byte comes any more. */
  whenEnded: (() => void) | undefined

  constructor(
    vc: VConnection,
    readonly user: Puller,
  ) {
    this.#vc = vc
  }

  /** Bytes that can be taken now. */
  get available(): number {
    this.#arm()
    return this.#buffer.isFreed ? 0 : this.#reader.readAvail
  }

  /** Nothing comes besides what is available. */
  get ended(): boolean {
    return this.#ended
  }

  /** All that is available, as a copy. */
  take(): Buffer {
    return this.#reader.read()
  }

  /** Fills target from what is available; the number of bytes. */
  takeInto(target: Uint8Array): number {
    return this.#reader.readInto(target)
  }

  /** Resolves when bytes have come, or the end. */
  wait(): Promise<void> {
    return (this.#waiting ??= new NativePromise((resolve) => (this.#wake = resolve)))
  }

  /**
   * For who has taken everything: why it ended, undefined for the peer's orderly end and
   * doIoShutdown('read'). If the connection has failed it is closed.
   */
  finish(): NetvcError | undefined {
    this.#buffer.free()
    if (this.#failed) this.#vc.doIoClose()
    return this.#error
  }

  /** Nobody wants the rest. */
  drop(): void {
    this.#end(undefined)
    this.#buffer.free()
  }

  /** What doIoRead knows this reader by. */
  readonly handle = (event: VCEvent): void => {
    switch (event) {
      case VCEvent.READ_READY:
        this.#tell()
        break
      case VCEvent.INACTIVITY_TIMEOUT:
      case VCEvent.ACTIVE_TIMEOUT: {
        const kind = event === VCEvent.ACTIVE_TIMEOUT ? 'activeTimeout' : 'inactivityTimeout'
        this.#failed = true
        this.#end(new NetvcError('ETIMEDOUT', `read ETIMEDOUT: ${kind}`, { syscall: 'read' }))
        break
      }
      default:
        this.#failed = this.#vc.error !== undefined
        this.#end(this.#vc.error)
    }
  }

  #arm(): void {
    if (this.#armed || this.#ended) return
    try {
      const vio = this.#vc.doIoRead(this.handle, Infinity, this.#buffer)
      this.#armed = true
      vio.lost = this.#lost
    } catch (error) {
      const { code } = error as NetvcError
      if (code === 'ERR_VC_MIGRATING') return // resume() follows
      this.#end(code === 'ERR_VC_SHUT' ? undefined : (error as NetvcError))
      this.#buffer.free()
    }
  }

  /** Somebody waits, and the connection is where it was to go. */
  resume(): void {
    if (this.#waiting) this.#arm()
  }

  /** The operation was taken from us; arming it again tells why, once who did that is through. */
  readonly #lost = (): void => {
    this.#armed = false
    if (!this.#ended) nextTick(() => this.#arm())
  }

  #end(error: NetvcError | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    this.#tell()
    this.whenEnded?.()
  }

  #tell(): void {
    const wake = this.#wake
    this.#waiting = this.#wake = undefined
    wake?.()
  }
}
