import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { Reactor, type ConnectOptions, type Listener, type VConnection } from 'netvc'
import { describe } from 'vitest'
import { eventually, useWorld, World } from './fixture.js'
import { pattern } from './pattern.js'

const dist = new URL('../../../dist/index.js', import.meta.url).href

/** Every suite about the shared reactor runs with so many net threads, if nobody was there before. */
export function onNetThreads(body: (threads: number) => void): void {
  for (const threads of [1, 2]) describe(`net threads: ${String(threads)}`, () => body(threads))
}

/**
 * What a worker begins with; its script is the body of an async function. It has `reactor`, the
 * shared one, and says `ready` when the body is through.
 */
const prelude = `
const { parentPort, workerData, threadId } = require('node:worker_threads')
const tell = (message) => parentPort.postMessage(message)
const asked = () => new Promise((resolve) => parentPort.once('message', resolve))
const turn = () => new Promise((resolve) => setImmediate(resolve))
import(${JSON.stringify(dist)}).then(async (netvc) => {
const { Reactor, MIOBuffer, VCEvent, NetvcError, writeMany, tunnel } = netvc
const reactor = Reactor.shared({ threads: workerData.threads })
const read = (vc, handler) => {
  const buffer = new MIOBuffer(), reader = buffer.allocReader()
  vc.doIoRead((event) => handler(reader, event), Infinity, buffer)
}
const echo = (vc) => read(vc, (reader, event) => {
  if (reader.readAvail > 0) vc.write(reader.read())
  if (event !== VCEvent.READ_READY) vc.doIoClose()
})
/** Leaves what comes in the buffer, and tells how much that is. */
const hoard = (vc) => read(vc, (reader, event) => tell([VCEvent[event], reader.readAvail]))
/** Answers with its threadId as soon as it has the connection. */
const greet = (vc) => { vc.write(threadId + '\\n'); echo(vc) }
`

/** A World whose reactor is the shared one of the process, and which has workers. */
export class SharedWorld extends World {
  readonly workers: Worker[] = []
  #shared: Reactor | undefined
  #client: Reactor | undefined

  override get reactor(): Reactor {
    if (!this.#shared) {
      this.#shared = Reactor.shared({ threads: this.threads })
      this.reactors.push(this.#shared)
    }
    return this.#shared
  }

  /** For the other ends of connections: of this thread alone. */
  get client(): Reactor {
    return (this.#client ??= this.another(0))
  }

  override async pair(
    address = 'tcp://127.0.0.1:0',
    options: { connect?: ConnectOptions } = {},
  ): Promise<[client: VConnection, server: VConnection, listener: Listener]> {
    let accepted!: (vc: VConnection) => void
    const server = new Promise<VConnection>((resolve) => (accepted = resolve))
    const listener = await this.reactor.listen(address, (vc) => accepted(vc))
    const client = await this.client.connect(listener.addresses[0], options.connect)
    return [client, await server, listener]
  }

  start(body: string, data: Record<string, unknown> = {}): Worker {
    const worker = new Worker(`${prelude}\n${body}\ntell('ready')\n})`, {
      eval: true,
      workerData: { threads: this.threads, ...data },
    })
    this.workers.push(worker)
    return worker
  }

  /** Starts it and waits for its \`ready\`. */
  async worker(body: string, data: Record<string, unknown> = {}): Promise<Worker> {
    void this.reactor // the first one chooses the number of net threads
    const worker = this.start(body, data)
    await heard(worker, (message) => message === 'ready')
    return worker
  }

  override async close(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()))
    await super.close()
  }
}

export const useSharedWorld = (threads: number) => useWorld(threads, (n) => new SharedWorld(n))

/** The next message of a worker that passes. */
export async function heard<T>(worker: Worker, test: (message: T) => boolean): Promise<T> {
  for (;;) {
    const [message] = (await once(worker, 'message')) as [T]
    if (test(message)) return message
  }
}

/** Sends until the kernel takes nothing more; the answer is how many bytes that are. */
export async function sendUntilHeldBack(vc: VConnection, from = 0): Promise<number> {
  let bytes = from
  while (vc.write(pattern(100_000, bytes))) bytes += 100_000
  bytes += 100_000
  await eventually(() => vc.inspect()?.write.triggered === false, 'the peer is held back')
  return bytes
}

/** Lines of text that a connection sends, each once. */
export function lines(world: World, vc: VConnection): string[] {
  const [buffer, reader] = world.pipe()
  const all: string[] = []
  let rest = ''
  vc.doIoRead(
    () => {
      const parts = (rest + reader.read().toString('latin1')).split('\n')
      rest = parts.pop()!
      all.push(...parts)
    },
    Infinity,
    buffer,
  )
  return all
}
