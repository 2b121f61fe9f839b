import { performance } from 'node:perf_hooks'
import process from 'node:process'
import timers from 'node:timers'

/**
 * What this package needs of timers, clocks, ticks and promises, taken when it is loaded. A program
 * may replace the globals, and what `node:timers` exports, while sockets live: fake timers of tests
 * do. A stopped clock of the program must not stop its sockets, as it does not stop those of Node.
 * Nothing else in lib uses the globals; lint sees to that.
 */
export const {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  setImmediate,
}: Pick<
  typeof timers,
  'setTimeout' | 'clearTimeout' | 'setInterval' | 'clearInterval' | 'setImmediate'
> = timers

export const nextTick = process.nextTick.bind(process)

/** Milliseconds of a clock that only goes forward. */
export const now = performance.now.bind(performance)

/** Promise, as a value. */
export const NativePromise = Promise

/** Runs the ticks and promises that wait, as Node does behind each call of its own native code. */
export const runTicks =
  (process as { _tickCallback?: () => void })._tickCallback ?? (() => undefined)
