import { constants } from 'node:os'
import { performance } from 'node:perf_hooks'
import type { Board } from './board.js'

/** docs/errors.md. What is not here, and no name of the system, nobody has been told of. */
const known = new Set([
  ...['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ADDRESS'],
  ...['ERR_VC_CLOSED', 'ERR_VC_SHUT', 'ERR_VC_TUNNELED', 'ERR_REACTOR_CLOSED', 'ERR_BUFFER_BUSY'],
  ...['ERR_BUFFER_FREED', 'ERR_TOO_MANY_READERS', 'ERR_READER_CLOSED', 'ERR_VC_NOT_OWNER'],
  ...['ERR_NOT_SHARED', 'ERR_NO_SUCH_WORKER', 'ERR_OOB_PENDING', 'ERR_OOB_CANCELLED'],
  ...['EOVERCROWDED', 'EFAILEDSOCKET', 'EUNUSED', 'ENET_CONNECT_TIMEOUT', 'ENET_THROTTLING'],
  ...['ERR_VC_MIGRATING', 'ERR_VC_READING', 'ERR_LISTENER_HANDLER', 'ERR_STREAM_DESTROYED'],
  ...['ABORT_ERR', 'ERR_FUZZ'],
  // Of Node's own streams, which say them as they are used.
  ...['ERR_STREAM_WRITE_AFTER_END', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_INVALID_STATE'],
  ...['ERR_STREAM_UNABLE_TO_PIPE', 'ERR_STREAM_ALREADY_FINISHED', 'ERR_INVALID_HANDLE_TYPE'],
  // Node's WritableStream, of write() after an error: its own mistake.
  'ERR_INTERNAL_ASSERTION',
  ...Object.keys(constants.errno),
])

/** What handlers throw on purpose. */
export class Thrown extends Error {}

/** What became of a message. */
export const Fate = { unknown: 0, sent: 1, failed: 2 } as const
type Fate = (typeof Fate)[keyof typeof Fate]

/** What a thread says at the end of a round; the main thread judges them together. */
export interface Report {
  /** By `label/producer`: the fates of all that was accepted, by seq. */
  sent: [string, Fate[]][]
  /** What each reader of this thread has got. */
  received: Received[]
  tunnels: [a: number, b: number][]
  wrong: string[]
  counts: Record<string, number>
}

export interface Received {
  label: number
  peer: number | undefined
  /** It has read to the peer's orderly end, from its first byte. */
  whole: boolean
  /** Not in the middle of a message. */
  between: boolean
  got: [string, number[]][]
}

/** What one thread of a round keeps account of, and finds wrong. */
export class Books {
  readonly wrong: string[] = []
  readonly sent = new Map<string, Fate[]>()
  readonly received: Received[] = []
  readonly tunnels: [a: number, b: number][] = []
  readonly counts: Record<string, number> = {}
  readonly #trail: string[] = []
  readonly #open = new Map<number, string>()
  #promises = 0
  thrown = 0
  caught = 0

  constructor(
    readonly thread: number,
    readonly board: Board,
    private readonly print: boolean,
  ) {}

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  /** A line for people: what was done; the last ones are printed when something is wrong. */
  trace(text: string): void {
    const line = `${performance.now().toFixed(1)} [${String(this.thread)}] ${text}`
    if (this.print) process.stderr.write(`${line}\n`)
    this.#trail.push(line)
    if (this.#trail.length > 6000) this.#trail.splice(0, 2000)
  }
  get trail(): string[] {
    return this.#trail
  }

  fault(text: string): void {
    this.trace(`WRONG ${text}`)
    this.wrong.push(text)
    this.board.fail()
  }

  /** Every error is one of docs/errors.md. */
  judge(what: string, error: unknown): string {
    const { code } = (error ?? {}) as { code?: unknown }
    if (typeof code === 'string' && known.has(code)) return code
    this.fault(`${what}: ${error instanceof Error ? String(error.stack) : String(error)}`)
    return 'unknown'
  }

  /** Does it; a typed error is an answer like any other. */
  attempt(what: string, call: () => unknown): unknown {
    this.count(what)
    try {
      const answer = call()
      if (answer instanceof Promise) void this.watch(what, answer)
      return answer
    } catch (error) {
      if (error instanceof Thrown) throw error
      const code = this.judge(what, error)
      this.trace(`  ${what}: throws ${code}`)
      this.count(`! ${code}`)
      return undefined
    }
  }

  /** It settles before the round is over. */
  async watch<T>(what: string, promise: Promise<T>): Promise<T | undefined> {
    const id = this.#promises++
    this.#open.set(id, what)
    try {
      return await promise
    } catch (error) {
      this.trace(`  ${what}: rejects ${this.judge(what, error)}`)
      return undefined
    } finally {
      this.#open.delete(id)
    }
  }
  /** Somebody is told later: answers what to call then, once (INV-10). */
  expect(what: string): () => void {
    const id = this.#promises++
    this.#open.set(id, what)
    return () => {
      if (!this.#open.delete(id)) this.fault(`INV-10: ${what} is told twice`)
    }
  }
  get unsettled(): string[] {
    return [...this.#open.values()]
  }

  /** A place for a message of this thread to a connection. */
  fates(label: number, producer = this.thread): Fate[] {
    const key = `${String(label)}/${String(producer)}`
    let fates = this.sent.get(key)
    if (!fates) this.sent.set(key, (fates = []))
    return fates
  }

  report(): Report {
    return {
      sent: [...this.sent],
      received: this.received,
      tunnels: this.tunnels,
      wrong: this.wrong,
      counts: this.counts,
    }
  }
}
