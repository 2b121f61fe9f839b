import { nextTick } from './globals.js'
import { Control, native } from './native.js'

/** Messages up to this size are collected in shared memory and sent together. */
export const smallMessage = 4096
/** Text up to this length is not longer than that in bytes, whatever its encoding. */
export const smallText = smallMessage / 4
/** A connection with so much collected does not wait for the end of the batch. */
const flushEarly = 64 * 1024
const outBytes = native.out.length
const maxCommands = native.commands.length / 4

const { control, commands, out } = native
const outText = Buffer.from(out.buffer, out.byteOffset, out.length)
let flushPlanned = false

function flushNow(): void {
  flushPlanned = false
  native.flush()
}

/**
 * Keeps a message of at most smallMessage bytes for a connection of this thread until the batch, or
 * the tick, is over, or the memory is full: auto-cork (docs/boundary.md).
 */
export function collect(slot: number, version: number, bytes: Uint8Array): void {
  const n = bytes.length
  const at = place(n)
  out.set(bytes, at)
  note(slot, version, at, n)
}

/** The same for text of at most smallText characters; the number of its bytes. */
export function collectText(
  slot: number,
  version: number,
  text: string,
  encoding: BufferEncoding,
): number {
  const at = place(smallMessage)
  const n = outText.write(text, at, smallMessage, encoding)
  if (n > 0) note(slot, version, at, n)
  return n
}

/** Where the next n bytes go. */
function place(n: number): number {
  const at = control[Control.OUT_USED]
  if (at + n <= outBytes && control[Control.COMMANDS] < maxCommands) return at
  native.flush()
  return 0
}

function note(slot: number, version: number, at: number, n: number): void {
  const count = control[Control.COMMANDS]
  const last = count * 4 - 4
  if (count > 0 && commands[last] === slot && commands[last + 1] === version) {
    if ((commands[last + 3] += n) > flushEarly) native.flush()
    else control[Control.OUT_USED] = at + n
  } else {
    const next = count * 4
    commands[next] = slot
    commands[next + 1] = version
    commands[next + 2] = at
    commands[next + 3] = n
    control[Control.COMMANDS] = count + 1
    control[Control.OUT_USED] = at + n
  }
  if (control[Control.IN_BATCH] === 0 && !flushPlanned) {
    flushPlanned = true
    nextTick(flushNow)
  }
}
