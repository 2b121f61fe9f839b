import {
  MIOBuffer,
  Reactor,
  type ConnectOptions,
  type IOBufferReader,
  type ListenOptions,
  type Listener,
  type MIOBufferOptions,
  type VConnection,
} from 'netvc'
import { afterEach, beforeEach, expect } from 'vitest'
import { openDescriptors } from './descriptors.js'
import { PatternChecker } from './pattern.js'
import { Recorder, violations } from './recorder.js'
import { patience } from './patience.js'

/** Lets the loop turn until a condition holds; for what nobody announces. */
export async function eventually(test: () => boolean, what: string): Promise<void> {
  const limit = Date.now() + patience
  while (!test()) {
    if (Date.now() > limit) expect.fail(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** `pair:` where the tests of connections run once more on pairs; see vitest.config.ts. */
export const onPairs = process.env['NETVC_TEST_PAIRS'] === '1'
const defaultAddress = onPairs ? 'pair:' : 'tcp://127.0.0.1:0'

export const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** What one test uses; everything is closed after it, and nothing may be left (INV-12, INV-13). */
export class World {
  readonly reactors: Reactor[] = []
  readonly buffers: MIOBuffer[] = []
  constructor(readonly threads: number) {}

  /** The reactor that most tests use. */
  get reactor(): Reactor {
    return (this.#main ??= this.another())
  }
  #main: Reactor | undefined

  another(threads = this.threads): Reactor {
    const reactor = new Reactor({ threads })
    this.reactors.push(reactor)
    return reactor
  }

  buffer(options?: MIOBufferOptions): MIOBuffer {
    const buffer = new MIOBuffer(options)
    this.buffers.push(buffer)
    return buffer
  }

  /** A fresh buffer and a reader of it. */
  pipe(options?: MIOBufferOptions): [MIOBuffer, IOBufferReader] {
    const buffer = this.buffer(options)
    return [buffer, buffer.allocReader()]
  }

  /** A buffer with these bytes in it. */
  filled(bytes: Uint8Array, options?: MIOBufferOptions): IOBufferReader {
    const [buffer, reader] = this.pipe(options)
    buffer.write(bytes)
    return reader
  }

  /**
   * Connects to a listener of this reactor: [connecting side, accepted side, listener]; or the
   * ends of a pair inside the process, for the address `pair:`.
   */
  async pair(
    address = defaultAddress,
    options: { listen?: ListenOptions; connect?: ConnectOptions } = {},
  ): Promise<[VConnection, VConnection, Listener]> {
    if (address === 'pair:') {
      const none = await this.reactor.listen('tcp://127.0.0.1:0', () => {})
      return [...this.reactor.pair(), none]
    }
    let accepted!: (vc: VConnection) => void
    const server = new Promise<VConnection>((resolve) => (accepted = resolve))
    const listener = await this.reactor.listen(address, (vc) => accepted(vc), options.listen)
    const client = await this.reactor.connect(listener.addresses[0], options.connect)
    return [client, await server, listener]
  }

  /** Reads all there is into nowhere, checking the pattern; the recorder tells how it goes. */
  check(
    vc: VConnection,
    nbytes = Infinity,
    from = 0,
  ): { stream: PatternChecker; recorder: Recorder } {
    const [buffer, reader] = this.pipe()
    const stream = new PatternChecker(from)
    const recorder = new Recorder(() => stream.take(reader.read()))
    vc.doIoRead(recorder.handler, nbytes, buffer)
    return { stream, recorder }
  }

  async close(): Promise<void> {
    await Promise.all(this.reactors.map((reactor) => reactor.close()))
    for (const buffer of this.buffers) buffer.free()
  }
}

const probe = new Reactor()

/** A world for each test of the suite, made before it and searched for leaks after it. */
export function useWorld(threads: number): { readonly world: World }
export function useWorld<T extends World>(threads: number, make: (n: number) => T): { world: T }
export function useWorld(threads: number, make = (n: number) => new World(n)): { world: World } {
  const box = {} as { world: World }
  let before: { descriptors: string[]; connections: number; blocks: number }

  beforeEach(() => {
    violations.length = 0
    const { connections, blocks } = probe.stats()
    before = { descriptors: openDescriptors(), connections, blocks }
    box.world = make(threads)
  })

  afterEach(async () => {
    await box.world.close()
    expect(violations).toEqual([])
    const { connections, blocks } = probe.stats()
    expect(connections, 'connections left').toBeLessThanOrEqual(before.connections)
    expect(blocks, 'blocks left').toBeLessThanOrEqual(before.blocks)
    await eventually(
      () => openDescriptors().length <= before.descriptors.length,
      `descriptors closed: ${String(before.descriptors.length)}`,
    )
  })
  return box
}
