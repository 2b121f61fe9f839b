import { setImmediate } from './globals.js'
import { native } from './native.js'

/** Whether Node's own loop is below: other runtimes give addons none that they could use so. */
export const hasLoop = !('Bun' in globalThis) && !('Deno' in globalThis)

/**
 * Calls listeners of a user. What they throw goes to 'uncaughtException' here and now, while
 * AsyncLocalStorage and domains still hold what they hold for the listener; the caller then goes on
 * with what is left to do. (An error that is thrown on leaves its async context first.)
 */
export function tell(act: () => void): void {
  try {
    act()
  } catch (error) {
    native.tellUncaught(error)
  }
}

/** Calls back in the closing phase of the loop, where Node tells that its own handles are closed. */
export const inClosingPhase: (act: () => void) => void = hasLoop
  ? (act) => {
      native.inClosingPhase(act)
    }
  : (act) => setImmediate(act)
