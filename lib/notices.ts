import { openPort, Record, type GlobalRecord } from './events.js'
import { native } from './native.js'

/**
 * Answers from connections of any thread to this one: a message was sent, a queue has drained, a
 * connection failed. Each is asked for under a number and comes exactly once (INV-10); native code
 * leaves it in the inbox of this JavaScript thread (native/binding/env_inbox.h).
 */
interface Waiting {
  /** text: why, in the words of setFailed(), if it failed by that. */
  tell: (errno: number, text?: string) => void
  keepsAlive: boolean
}

const waiting = new Map<number, Waiting>()
const lastToken = 0x7fffffff
let next = 1
let alive = 0
let opened = false

const onRecord: GlobalRecord = (kind, _slot, _version, token, _count, errno) => {
  if (kind !== Record.NOTICE) return
  const text = errno === 0 ? '' : native.noticeText(token)
  forget(token)?.tell(errno, text)
}
// Referred to from here, since a port refers to its owner weakly.
const owner = { onRecord }

function keepAlive(change: 1 | -1): void {
  alive += change
  if (alive === 0 || (alive === 1 && change === 1)) native.refNotices(change === 1 ? 1 : 0)
}

const after = (token: number) => (token === lastToken ? 1 : token + 1)

/** @internal For tests: the next number to ask with. */
export function numberFrom(token: number): void {
  next = token
}

/**
 * A number to ask with. keepsAlive: this thread does not end by itself before the answer has come.
 */
export function expectNotice(tell: Waiting['tell'], keepsAlive: boolean): number {
  if (!opened) {
    opened = true
    openPort(native.inbox(), owner)
  }
  // They come around after some weeks of a busy process, when old ones may still wait.
  while (waiting.has(next)) next = after(next)
  const token = next
  next = after(token)
  waiting.set(token, { tell, keepsAlive })
  if (keepsAlive) keepAlive(1)
  return token
}

/** It comes, but nobody wants it any more: the number stays taken until then. */
export function ignore(token: number): void {
  const entry = waiting.get(token)
  if (!entry) return
  entry.tell = () => undefined
  if (entry.keepsAlive) keepAlive(-1)
  entry.keepsAlive = false
}

/** It has come, or will not. */
export function forget(token: number): Waiting | undefined {
  const entry = waiting.get(token)
  if (!entry) return undefined
  waiting.delete(token)
  if (entry.keepsAlive) keepAlive(-1)
  return entry
}
