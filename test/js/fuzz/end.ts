import {
  MIOBuffer,
  VCEvent,
  type IOBufferReader,
  type VConnection,
  type VCStream,
  type VIO,
} from 'netvc'
import { Mark } from './board.js'
import { Thrown } from './books.js'
import type { Chance } from './chance.js'
import { markOf, operationBytes, Parser } from './frames.js'
import { Grammar } from './grammar.js'
import { turn, type Stage } from './stage.js'

/** Who reads a connection. given: another thread; nobody: not armed, or through. */
export type Reads = 'nobody' | 'operation' | 'stream' | 'loop' | 'web' | 'tunnel' | 'given'

/** A connection that this thread has, what it does with it, and what it may be told. */
export class End {
  readonly label: number
  reads: Reads = 'nobody'
  parser: Parser | undefined
  stream: VCStream | undefined;
  in: MIOBuffer | undefined
  inReader: IOBufferReader | undefined
  /** Readers that stay behind. */
  readonly lagging: IOBufferReader[] = []
  out: MIOBuffer | undefined
  outReader: IOBufferReader | undefined
  /** Of the bytes of `out`. */
  salt = 0
  produced = 0
  /** The peer's orderly end was told. */
  ended = false
  /** There is an end of any kind. */
  over = false
  /** It is led to its end: Stage.settle. */
  settling = false
  readonly vios: [read: VIO | undefined, write: VIO | undefined] = [undefined, undefined]
  readonly #grammar = [new Grammar(), new Grammar()] as const
  #events = 0

  constructor(
    readonly stage: Stage,
    readonly vc: VConnection,
    known = 0,
  ) {
    const { board } = stage.books
    this.label = known || board.add(vc.id)
    const lost = this.label === 0 || board.marked(this.label, Mark.lost)
    this.parser = lost ? undefined : new Parser(board.place(this.label))
    stage.ends.push(this)
  }

  get name(): string {
    return `#${String(this.label)}`
  }

  /** Nobody can say what comes next. */
  lose(): void {
    this.parser = undefined
    this.stage.books.board.mark(this.label, Mark.lost)
  }

  /** Bytes that came, by whatever way. */
  got(bytes: Uint8Array): void {
    const { parser } = this
    if (!parser || bytes.length === 0) return
    if (this.stage.books.board.marked(this.label, Mark.lost)) {
      this.parser = undefined
      return
    }
    try {
      parser.take(bytes)
    } catch (error) {
      this.stage.books.fault(`${this.name} (${this.reads}): ${(error as Error).message}`)
      this.lose()
    }
    this.stage.books.board.setPlace(this.label, parser.place.salt, parser.place.at)
  }

  // --- reading by an operation -----------------------------------------------------------------

  buffer(chance: Chance): MIOBuffer {
    const buffer = new MIOBuffer({
      blockSize: chance.between(128, 131_072),
      waterMark: chance.pick([0, 100, 4096, 65_536, 1 << 20]),
    })
    this.stage.buffers.add(buffer)
    return buffer
  }

  /** Arms the reading operation, into the buffer that is there; after the end of another one too. */
  read(nbytes: number, chance: Chance): void {
    if (!this.in || this.in.isFreed) {
      this.in = this.buffer(chance)
      this.inReader = this.in.allocReader()
    }
    this.#grammar[0].arming(this.in)
    const vio = this.vc.doIoRead(this.onRead, nbytes, this.in)
    this.vios[0] = vio
    this.#grammar[0].armed(vio)
    this.reads = 'operation'
  }

  /** The most advanced reader counts for who takes over: that is to be ours. */
  noClones(): void {
    for (const reader of this.lagging.splice(0)) {
      if (reader.index >= 0 && !reader.buffer.isFreed) reader.dealloc()
    }
  }

  /** Somebody else has the bytes from now on. */
  handOver(reads: Reads): void {
    this.reads = reads
    this.in = this.inReader = undefined
  }

  /** Cancels it and takes what it has brought: then somebody else can read. */
  stopReading(): void {
    this.vc.doIoRead(null, 0, null)
    this.vc.inspect() // a turn of its thread: nothing more comes into the buffer
    this.take(Infinity)
    this.reads = 'nobody'
  }

  /** Takes up to n bytes of what was read. */
  take(n: number, chance?: Chance): void {
    const reader = this.inReader
    if (!reader || reader.index < 0 || reader.buffer.isFreed) return
    for (let left = Math.min(n, reader.readAvail); left > 0;) {
      const how = chance?.below(4) ?? 0
      let bytes: Buffer
      if (how === 1) {
        bytes = Buffer.alloc(Math.min(left, 1000))
        bytes = bytes.subarray(0, reader.readInto(bytes))
      } else if (how === 2) {
        bytes = Buffer.from(reader.borrow().subarray(0, left))
        reader.consume(bytes.length)
      } else if (how === 3) {
        bytes = Buffer.alloc(left)
        reader.peek(bytes)
        reader.consume(left)
      } else {
        bytes = reader.read(left)
      }
      this.got(bytes)
      left -= bytes.length
    }
  }

  readonly onRead = (event: VCEvent, vio: VIO): void => {
    const chance = this.#told(event, vio)
    const { quiet } = this.stage
    const some = quiet ? 0 : chance.below(8)
    if (some < 5) this.take(Infinity, chance)
    else if (some < 7) this.take(chance.between(1, 5000), chance)
    if (event === VCEvent.EOS && !this.vc.error) this.ended = true
    this.#after(event, chance)
  }

  readonly onWrite = (event: VCEvent, vio: VIO): void => {
    const chance = this.#told(event, vio)
    if (event === VCEvent.WRITE_READY && !this.stage.quiet && chance.oneIn(2)) this.feed(chance)
    this.#after(event, chance)
  }

  #told(event: VCEvent, vio: VIO): Chance {
    const { stage } = this
    stage.books.count(VCEvent[event])
    const problem = this.#grammar[vio.side].told(event, vio)
    stage.books.trace(`${this.name} ${VCEvent[event]} ${String(vio.ndone)}/${String(vio.nbytes)}`)
    if (problem) stage.books.fault(`${this.name}: ${problem}`)
    return stage.chance(2, this.label, this.#events++)
  }

  /** What a handler does besides: anything, and throw. */
  #after(event: VCEvent, chance: Chance): void {
    if (event === VCEvent.ERROR || event === VCEvent.EOS) this.over = true
    if (this.stage.quiet) {
      this.stage.settle(this)
      return
    }
    this.stage.inside(this, chance)
    if (!chance.oneIn(40)) return
    this.stage.books.thrown++
    throw new Thrown()
  }

  /** nbytes of an operation was changed. */
  changed(side: 0 | 1): void {
    this.#grammar[side].changed = true
  }

  // --- writing by an operation -----------------------------------------------------------------

  /** Adds bytes to what the operation sends. */
  feed(chance: Chance): void {
    if (!this.out || this.out.isFreed || this.produced > 500_000) return
    const n = chance.between(1, 20_000)
    this.out.write(operationBytes(this.salt, this.produced, n))
    this.produced += n
  }

  /** Arms the writing operation; the receiver is told before which bytes come. */
  write(nbytes: number, chance: Chance): void {
    if (!this.out || this.out.isFreed) {
      const salt = this.stage.salt()
      this.vc.write(markOf(salt, 0))
      // Sends what write() has collected: on net threads the operation would overtake it (AD-1).
      void this.vc.writableLength
      this.salt = salt
      this.produced = 0
      this.out = this.buffer(chance)
      this.outReader = this.out.allocReader()
    }
    this.feed(chance)
    const vio = this.vc.doIoWrite(this.onWrite, nbytes, this.outReader!)
    this.vios[1] = vio
    this.#grammar[1].armed(vio)
  }

  // --- other ways of reading -------------------------------------------------------------------

  readByStream(chance: Chance): void {
    this.noClones()
    const stream = this.vc.stream({ allowHalfOpen: chance.oneIn(2) })
    if (this.stream === stream) return
    this.handOver('stream')
    this.stream = stream
    stream.on('error', (error) => this.stage.books.judge(`${this.name} stream`, error))
    stream.on('data', (bytes: Buffer) => {
      if (stream === this.stream) this.got(bytes)
      const next = this.stage.chance(3, this.label, this.#events++)
      if (this.stage.quiet) return
      if (next.oneIn(10)) {
        stream.pause()
        setTimeout(() => stream.resume(), next.below(5))
      }
      this.stage.inside(this, next)
    })
    stream.on('end', () => {
      if (stream !== this.stream) return
      this.ended = this.over = true
      if (!this.stage.quiet)
        this.stage.inside(this, this.stage.chance(3, this.label, this.#events++))
    })
    stream.on('close', () => {
      if (stream === this.stream) this.over = true
    })
  }

  async readByLoop(): Promise<void> {
    this.stopReading()
    const iterator = this.vc[Symbol.asyncIterator]()
    this.reads = 'loop'
    for (;;) {
      const { value, done } = await iterator.next()
      if (done) break
      this.got(value)
      const chance = this.stage.chance(4, this.label, this.#events++)
      if (this.stage.quiet) continue
      if (chance.oneIn(5)) await turn()
      this.stage.inside(this, chance)
      if (!chance.oneIn(60)) continue
      await iterator.return!()
      this.through(false)
      return
    }
    this.through(!this.vc.failed && !this.vc.closed)
  }

  async readByWeb(): Promise<void> {
    this.stopReading()
    const source = this.vc.readable.getReader()
    this.reads = 'web'
    for (;;) {
      const { value, done } = await source.read()
      if (done) break
      this.got(value)
      const chance = this.stage.chance(5, this.label, this.#events++)
      if (this.stage.quiet) continue
      if (chance.oneIn(5)) await turn()
      this.stage.inside(this, chance)
      if (!chance.oneIn(60)) continue
      await source.cancel()
      this.through(false)
      return
    }
    this.through(!this.vc.failed && !this.vc.closed)
  }

  /** A loop has come to its end. */
  private through(ended: boolean): void {
    this.ended = ended
    this.over = true
    if (this.stage.quiet) this.stage.settle(this)
  }

  /** For the books, when the round is over. */
  report(): void {
    const { parser } = this
    if (!parser) return
    const reader = this.inReader
    const left = reader && reader.index >= 0 && !reader.buffer.isFreed ? reader.readAvail : 0
    const { label } = this
    const whole = this.ended && left === 0
    const { peer, between } = parser
    this.stage.books.received.push({ label, peer, whole, between, got: [...parser.got] })
  }
}
