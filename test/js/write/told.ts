import type { Message, VCHandle, VConnection, WriteOptions } from 'netvc'
import { unixAddress } from '../support/addresses.js'
import { eventually, type World } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

/** The code that a call throws; `ok` when it does not. */
export function code(call: () => unknown): string {
  try {
    call()
    return 'ok'
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

/** Writes and answers with the promise of its completion, which nobody has to look at. */
export function told(vc: VCHandle, data: Message, options: WriteOptions = {}): Promise<void> {
  const promise = vc.write(data, { ...options, completion: true })
  promise.catch(() => {})
  return promise
}

export interface Filled {
  client: VConnection
  server: VConnection
  /** How many of the pattern were written. */
  bytes: number
}

/** A connection whose peer does not read: the kernel takes nothing more, and too much waits. */
export async function filled(world: World): Promise<Filled> {
  const [client, server] = await world.pair(unixAddress())
  let bytes = 0
  // Not only until there is too much: until there still is when the kernel has taken its part.
  do {
    for (let more = true; more; bytes += 100_000) more = client.write(pattern(100_000, bytes))
    await eventually(() => client.inspect()?.write.triggered === false, 'the kernel is full')
  } while (client.writableLength <= client.writableHighWaterMark)
  return { client, server, bytes }
}
