import { debug } from './debug.js'
import { displaced, targets, weakTargets, type RecordTarget } from './events.js'
import { setTimeout } from './globals.js'
import { native } from './native.js'

/**
 * Which connections are kept alive by this module. One that can still call a handler is held
 * strongly. One that nothing is armed on is held weakly: when its user forgets it, the garbage
 * collector finds it, and its descriptor is closed (AD-6).
 *
 * Looking is put off for a second, so that the usual life (accepted and armed at once, armed again
 * in its own handler) costs nothing here.
 */
export interface Holdable extends RecordTarget {
  readonly slot: number
  /** Something is armed or pending. */
  readonly busy: boolean
  readonly closed: boolean
  readonly reactor: { connectionEnded(): void }
}

const lookAfterMs = 1000
const report = debug.has('leaks')

let idle: Holdable[] = []
let timer: NodeJS.Timeout | undefined

const forgotten = new FinalizationRegistry<Pick<Holdable, 'slot' | 'version' | 'reactor'>>(
  ({ slot, version, reactor }) => {
    // The slot may be another connection's already, if this one had ended by itself.
    if (weakTargets.get(slot)?.deref() === undefined) weakTargets.delete(slot)
    native.close(slot, version, -1)
    reactor.connectionEnded()
    if (report) {
      process.emitWarning('A connection was garbage collected without doIoClose()', {
        type: 'NetvcWarning',
        code: 'NETVC_FORGOTTEN_VC',
      })
    }
  },
)

/** A connection that exists from now on. */
export function hold(vc: Holdable): void {
  displace(vc.slot)
  targets[vc.slot] = vc
  lookLater(vc)
}

/** Who had the slot before is yet to be told of its end. */
function displace(slot: number): void {
  const old = targets[slot] ?? weakTargets.get(slot)?.deref()
  if (!old) return
  if (weakTargets.delete(slot)) forgotten.unregister(old)
  const list = displaced.get(slot)
  if (list) list.push(old)
  else displaced.set(slot, [old])
}

/** Nothing may be armed on it any more. */
export function lookLater(vc: Holdable): void {
  idle.push(vc)
  timer ??= setTimeout(look, lookAfterMs).unref()
}

/** Something is armed on it. */
export function holdAgain(vc: Holdable): void {
  if (targets[vc.slot] === vc || displaced.get(vc.slot)?.includes(vc)) return
  forgotten.unregister(vc)
  weakTargets.delete(vc.slot)
  targets[vc.slot] = vc
}

/** It is closed: nothing of it is delivered from now on. */
export function letGo(vc: Holdable): void {
  if (targets[vc.slot] === vc) {
    targets[vc.slot] = undefined
  } else if (weakTargets.get(vc.slot)?.deref() === vc) {
    weakTargets.delete(vc.slot)
    forgotten.unregister(vc)
  } else {
    const others = displaced.get(vc.slot)?.filter((old) => old !== vc)
    if (others?.length) displaced.set(vc.slot, others)
    else displaced.delete(vc.slot)
  }
}

function look(): void {
  timer = undefined
  const before = idle
  idle = []
  for (const vc of before) {
    if (vc.closed || vc.busy || targets[vc.slot] !== vc) continue
    targets[vc.slot] = undefined
    weakTargets.set(vc.slot, new WeakRef(vc))
    forgotten.register(vc, { slot: vc.slot, version: vc.version, reactor: vc.reactor }, vc)
  }
}

/** Every connection that exists. */
export function* held(): Generator<RecordTarget> {
  for (const target of targets) {
    if (target) yield target
  }
  for (const weak of weakTargets.values()) {
    const target = weak.deref()
    if (target) yield target
  }
  for (const list of displaced.values()) yield* list
}
