import { NativePromise } from './globals.js'
import { pullReader } from './pull-reader.js'
import type { VConnection } from './vconnection.js'

type Chunk = IteratorResult<Buffer, undefined>
const over = { value: undefined, done: true } as const

/** @internal VConnection[Symbol.asyncIterator]() */
export function iterate(vc: VConnection): AsyncIterableIterator<Buffer, undefined> {
  const pull = pullReader(vc, 'for await')
  let last: Promise<unknown> = NativePromise.resolve()
  let asked = 0
  let left = false

  const step = async (): Promise<Chunk> => {
    try {
      for (;;) {
        if (left) return over
        if (pull.available > 0) return { value: pull.take(), done: false }
        if (pull.ended) break
        await pull.wait()
      }
      const error = pull.finish()
      if (error) throw error
      return over
    } finally {
      asked--
    }
  }

  return {
    next: () => {
      if (asked === 0 && !left && pull.available > 0) {
        return NativePromise.resolve({ value: pull.take(), done: false })
      }
      asked++
      const answer = last.then(step, step)
      last = answer
      return answer
    },
    return: () => {
      const ended = pull.ended && pull.available === 0
      left = true
      // Who has it now, a tunnel or another thread, goes on.
      if (!ended && !vc.tunnel && !vc.assigned) vc.doIoClose()
      pull.drop()
      return NativePromise.resolve(over)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
