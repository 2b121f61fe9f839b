import { afterEach } from 'vitest'

const undo: (() => unknown)[] = []

/** Runs when the test is over, whatever its result, latest first. */
export function finally_(step: () => unknown): void {
  undo.push(step)
}

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})
