import { integerBelow, logarithmic, pick, random } from '../support/pattern.js'

/** One number of several, so that each step, connection and thread has chances of its own. */
function mix(numbers: readonly number[]): number {
  let hash = 0x811c9dc5
  for (const n of numbers) {
    hash = Math.imul(hash ^ (n | 0), 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  }
  return hash | 0
}

/**
 * The random source. It is named by the seed of the round and by what it is for: what a step, or an
 * event of a connection, decides does not depend on what others have drawn before.
 */
export class Chance {
  readonly #next: () => number

  constructor(...names: number[]) {
    this.#next = random(mix(names))
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return integerBelow(this.#next, n)
  }
  oneIn(n: number): boolean {
    return this.below(n) === 0
  }
  /** From min to max, small and large being equally likely. */
  between(min: number, max: number): number {
    return logarithmic(this.#next, min, max)
  }
  pick<T>(list: readonly T[]): T {
    return pick(this.#next, list)
  }
}
