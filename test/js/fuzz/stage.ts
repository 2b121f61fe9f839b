import { closeSync, openSync } from 'node:fs'
import { inspect } from 'node:util'
import { Reactor, type Listener, type MIOBuffer, type VConnection } from 'netvc'
import { onConnections, onIds, onReactors } from './actions.js'
import { Mark } from './board.js'
import { Thrown, type Books } from './books.js'
import { Chance } from './chance.js'
import { End } from './end.js'
import { send, type Call, type Row } from './rows.js'

export const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** How a round is set: the same for all its threads. */
export interface Setting {
  seed: number
  /** Net threads; 0 is the inline engine. */
  threads: number
  /** Reactor.shared(), for all JavaScript threads of the round. */
  shared: boolean
  transport: 'sockets' | 'pairs' | 'both'
  /** Steps of each thread; a replay may end after fewer. */
  steps: number
  /** Milliseconds in which all that can move has moved, and every promise has settled. */
  patience: number
}

/** One JavaScript thread of a round: its reactor, its connections, and its steps. */
export class Stage {
  readonly ends: End[] = []
  readonly buffers = new Set<MIOBuffer>()
  readonly listeners: Listener[] = []
  /** Where connections can go to, also of other threads. */
  readonly addresses: string[] = []
  readonly reactor: Reactor
  /** The steps are over: what is there comes to its end. */
  quiet = false
  /** What has been sent to many at once. */
  fanOuts = 0
  /** A descriptor for traces. */
  readonly nowhere = openSync('/dev/null', 'w')
  #depth = 0
  #salts: number
  #accepted = 0

  constructor(
    readonly setting: Setting,
    readonly books: Books,
  ) {
    const { shared, threads } = setting
    this.reactor = shared ? Reactor.shared({ threads }) : new Reactor({ threads })
    if (shared) this.reactor.register((vc) => void this.given(vc))
    this.#salts = books.thread * 100_000
  }

  chance(...names: number[]): Chance {
    return new Chance(this.setting.seed, this.books.thread, ...names)
  }

  /** A name for the bytes of an operation. */
  salt(): number {
    return ++this.#salts
  }

  get sockets(): boolean {
    return this.setting.transport !== 'pairs'
  }
  get pairs(): boolean {
    return this.setting.transport !== 'sockets'
  }

  async listen(chance: Chance): Promise<void> {
    const to = chance.oneIn(4)
      ? `unix://@netvc-fuzz-${String(process.pid)}-${String(this.salt())}`
      : 'tcp://127.0.0.1:0'
    const listener = await this.reactor.listen(to, (vc) => void this.take(vc, 12, Mark.passive), {
      ...(chance.oneIn(3) && { acceptOnEveryThread: true }),
      ...(chance.oneIn(4) && { acceptThreads: 1 }),
      ...(this.setting.shared &&
        chance.oneIn(2) && {
          distribute: chance.pick(['round-robin', 'least-connections', 'random'] as const),
        }),
      ...(chance.oneIn(4) && { maxConnections: 1 + chance.below(8) }),
      ...(chance.oneIn(4) && { inactivityTimeout: 5 + chance.below(80) }),
      ...(chance.oneIn(4) && { idleTimeout: 5 + chance.below(200) }),
    })
    this.listeners.push(listener)
    this.addresses.push(...listener.addresses)
    if (this.quiet) await listener.close()
  }

  /** A connection that this thread has from now on. */
  take(vc: VConnection, from: number, marks = 0, known = 0): End {
    const end = new End(this, vc, known)
    this.books.board.mark(end.label, marks)
    this.books.trace(`${end.name} is ${String(vc.id)}, ${String(vc.localAddress)}`)
    const chance = this.chance(from, this.#accepted++)
    // Most say at once who they are, so that it is known who is whose peer.
    const hello = { stage: this, chance, end, inside: true }
    if (known === 0 && !chance.oneIn(8))
      this.books.attempt('write', () => send(hello, vc, end.label))
    if (this.quiet) this.settle(end)
    else this.inside(end, chance, 4)
    return end
  }

  /** A connection of another thread, or of a listener that distributes. */
  given(vc: VConnection): void {
    const known = this.books.board.label(vc.id)
    if (known > 0) this.take(vc, 13, 0, known)
    else this.take(vc, 12, Mark.passive)
  }

  /** Anything, within a handler: now and then, and not without an end. */
  inside(end: End, chance: Chance, most = 2): void {
    if (this.#depth > 2 || this.books.board.failed) return
    this.#depth++
    try {
      for (let n = chance.below(most + 1); n > 0; n--) {
        const other = chance.oneIn(5) ? this.any(chance) : undefined
        this.do(chance.pick(onConnections), {
          stage: this,
          chance,
          end: other ?? end,
          inside: true,
        })
      }
    } finally {
      this.#depth--
    }
  }

  any(chance: Chance): End | undefined {
    // Those that are open come first, so that a round does not only speak to the dead.
    const open = this.ends.filter((end) => !end.vc.closed)
    const list = open.length > 0 && !chance.oneIn(12) ? open : this.ends
    return list.length > 0 ? chance.pick(list) : undefined
  }

  do(row: Row, call: Call): void {
    const [name, run] = row
    const whom = call.end ? ` ${call.end.name}` : ''
    this.books.trace(`${call.inside ? '  in a handler: ' : ''}${name}${whom}`)
    try {
      this.books.attempt(name, () => run(call))
    } catch (error) {
      // reenableRe calls handlers on this stack; what they throw is the caller's.
      if (!(error instanceof Thrown) || call.inside) throw error
      this.books.caught++
    }
  }

  async step(i: number): Promise<void> {
    const chance = this.chance(1, i)
    const end = this.any(chance)
    const open = this.ends.filter((one) => !one.vc.closed).length
    const kind = chance.below(20)
    const call: Call = { stage: this, chance, end, inside: false }
    if (!end || open < 2 || kind < (open < 40 ? 4 : 1)) {
      this.do(chance.pick(onReactors), { ...call, end: undefined })
    } else if (kind < 7) this.do(chance.pick(onIds), { ...call, end: undefined })
    else this.do(chance.pick(onConnections), call)
    const wait = chance.below(8)
    if (wait < 3) await turn()
    else if (wait === 3) await pause(chance.below(4))
  }

  /** Leads a connection to its end; again at each event of it. */
  settle(end: End): void {
    const { vc, books } = { vc: end.vc, books: this.books }
    if (vc.closed || end.reads === 'tunnel' || end.reads === 'given') return
    const ask = (what: string, call: () => unknown) => books.attempt(`settle: ${what}`, call)
    if (end.stream && end.reads === 'stream') {
      const { stream } = end
      if (!stream.writableEnded) ask('stream.end', () => void stream.end())
      stream.resume()
      if (end.over) ask('close', () => vc.doIoClose())
      return
    }
    if (!end.settling) {
      end.settling = true
      ask('shutdown', () => vc.doIoShutdown('write'))
      for (const reader of end.lagging.splice(0)) ask('dealloc', () => reader.dealloc())
      if (end.reads === 'operation' || end.reads === 'nobody') {
        ask('take', () => end.take(Infinity))
        ask('read', () => end.read(Infinity, this.chance(6, end.label)))
        if (end.reads !== 'operation' || !vc.reading) end.over = true
      }
    }
    ask('take', () => end.take(Infinity))
    if (end.reads === 'operation' && !vc.reading) end.over = true
    if (end.over) ask('close', () => vc.doIoClose())
  }

  /** Everything that can move moves, until every connection is closed (INV-6). */
  async calm(): Promise<void> {
    this.quiet = true
    for (const listener of this.listeners) void this.books.watch('listener.close', listener.close())
    for (const end of [...this.ends]) this.settle(end)
    const left = () => this.ends.filter((end) => !end.vc.closed && end.reads !== 'given')
    if (!(await this.#eventually(() => left().length === 0))) {
      for (const end of left()) {
        const state = inspect(end.vc.inspect(), { breakLength: Infinity, depth: 4 })
        this.books.fault(`INV-6: ${end.name} does not end, read by ${end.reads}: ${state}`)
      }
    }
  }

  /** All is closed, and everybody has been told. */
  async close(): Promise<void> {
    const closing = this.reactor.close()
    let closed = false
    void closing.then(() => (closed = true))
    const { books } = this
    await this.#eventually(() => closed && books.unsettled.length === 0)
    if (books.board.failed) return
    if (!closed) books.fault('reactor.close() does not resolve')
    for (const what of books.unsettled) books.fault(`INV-27: never settled: ${what}`)
    await this.#eventually(() => books.caught === books.thrown)
    if (books.caught !== books.thrown) {
      books.fault(`${String(books.thrown)} exceptions thrown, ${String(books.caught)} arrived`)
    }
    for (const end of this.ends) end.report()
    for (const buffer of this.buffers) buffer.free()
    this.ends.length = 0
    closeSync(this.nowhere)
  }

  async #eventually(test: () => boolean): Promise<boolean> {
    const limit = Date.now() + this.setting.patience
    while (!test()) {
      if (this.books.board.failed) return true // somebody else has the reason
      if (Date.now() > limit) return false
      await pause(2)
    }
    return true
  }
}
