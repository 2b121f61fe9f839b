import { clearLine, cursorTo } from 'node:readline'
import type { WriteStream } from 'node:tty'

import { bytes } from './format.js'

/** What a service has done so far. */
export interface Counters {
  open: number
  accepted: number
  failed: number
  /** From clients, and to clients. */
  bytesIn: number
  bytesOut: number
}

const liveMs = 500

/**
 * Shows counters on stdout: on a terminal one line that is drawn again in place, elsewhere a line
 * every interval seconds, unless nothing has happened since the last.
 */
export class Status {
  readonly #counters: () => Counters
  readonly #terminal: WriteStream | undefined
  readonly #timer: NodeJS.Timeout
  #before: Counters
  #at = performance.now()
  #mode = ''
  #drawn = false

  constructor(counters: () => Counters, intervalSeconds: number) {
    this.#counters = counters
    this.#before = counters()
    this.#terminal = process.stdout.isTTY ? process.stdout : undefined
    const ms = this.#terminal ? liveMs : intervalSeconds * 1000
    this.#timer = setInterval(() => this.#tick(), ms).unref()
    if (this.#terminal) this.#tick()
  }

  /** Put in front of the live line, for example `draining`. */
  set mode(text: string) {
    this.#mode = text
    if (this.#terminal) this.#tick()
  }

  /** Prints lines that stay. */
  print(lines: string, stream: NodeJS.WritableStream = process.stdout): void {
    this.#erase()
    stream.write(lines)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#erase()
  }

  #tick(): void {
    const now = performance.now()
    const seconds = Math.max(now - this.#at, 1) / 1000
    const [before, after] = [this.#before, this.#counters()]
    this.#before = after
    this.#at = now
    const line = statusLine(before, after, seconds)
    if (this.#terminal) this.#draw(`${this.#mode}${line}`)
    else if (!same(before, after)) console.log(line)
  }

  #draw(line: string): void {
    const out = this.#terminal!
    cursorTo(out, 0)
    // One column stays free: a full last column wraps on some terminals.
    out.write(line.slice(0, Math.max((out.columns || 80) - 1, 1)))
    clearLine(out, 1)
    this.#drawn = true
  }

  #erase(): void {
    if (!this.#drawn || !this.#terminal) return
    cursorTo(this.#terminal, 0)
    clearLine(this.#terminal, 0)
    this.#drawn = false
  }
}

function same(a: Counters, b: Counters): boolean {
  return (Object.keys(a) as (keyof Counters)[]).every((name) => a[name] === b[name])
}

/** `3 open, 12 in all | in 1.5 MiB/s, 20 MiB | out 0 B/s, 1.0 KiB` */
export function statusLine(before: Counters, after: Counters, seconds: number): string {
  const rate = (name: 'bytesIn' | 'bytesOut') =>
    `${bytes((after[name] - before[name]) / seconds)}/s, ${bytes(after[name])}`
  const failed = after.failed > 0 ? `, ${String(after.failed)} failed` : ''
  const connections = `${String(after.open)} open, ${String(after.accepted)} in all${failed}`
  return `${connections} | in ${rate('bytesIn')} | out ${rate('bytesOut')}`
}
