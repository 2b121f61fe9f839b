import type { VConnection } from 'netvc'
import { eventually, turn } from '../support/fixture.js'

/** The most that a default MIOBuffer holds: two marks and a block. */
export const held = 160 * 1024

/** Waits until its buffer is full and stays as it is; the bytes in it. */
export async function full(vc: VConnection): Promise<number> {
  const buffered = () => vc.inspect()!.read.buffered
  await eventually(() => buffered() >= 64 * 1024, 'the buffer is full')
  for (let before = -1; before !== buffered();) {
    before = buffered()
    for (let i = 0; i < 10; i++) await turn()
  }
  return buffered()
}
