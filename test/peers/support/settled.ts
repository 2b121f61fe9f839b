import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Waits until a number has not changed for half a second: that nothing moves any more is announced
 * by nobody.
 */
export async function settled(read: () => number): Promise<void> {
  const limit = Date.now() + 20_000
  for (let before = -1, same = 0; same < 5;) {
    if (Date.now() > limit) throw new Error('it never came to rest')
    const now = read()
    same = now === before ? same + 1 : 0
    before = now
    await sleep(100)
  }
}
