import { NetvcError, outOfRange, wrongType } from './errors.js'
import { NativePromise } from './globals.js'
import { native } from './native.js'
import { expectNotice } from './notices.js'
import type { Reactor } from './reactor.js'

/** @internal VConnection.migrate(); leave: cancels what this thread has armed on it. */
export function migrate(
  reactor: Reactor,
  vc: { slot: number; version: number },
  thread: number,
  leave: () => void,
  arrive: (code: number) => void,
): Promise<void> {
  if (typeof thread !== 'number') throw wrongType('thread', 'a number', thread)
  const last = Math.max(0, reactor.threads - 1)
  if (!Number.isInteger(thread) || thread < 0 || thread > last) {
    throw outOfRange('thread', `a net thread of its reactor, 0 to ${String(last)}`, thread)
  }
  const at = native.threadOf(vc.slot, vc.version)
  if (at === thread || reactor.threads === 0) return NativePromise.resolve() // MG-1
  leave()
  return new NativePromise((resolve, reject) => {
    const token = expectNotice((code) => {
      arrive(code)
      if (code === 0) resolve()
      else reject(new NetvcError('ERR_VC_CLOSED', 'migrate: the connection has ended on its way'))
    }, true)
    native.migrate(reactor.handle, vc.slot, vc.version, thread, token)
  })
}
