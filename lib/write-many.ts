import type { NetvcError } from './errors.js'
import { wrongType } from './errors.js'
import { VCHandle } from './handle.js'
import { toBytes } from './mio-buffer.js'
import { native } from './native.js'

export interface WriteManyResult {
  /** How many connections have accepted the message. */
  accepted: number
  /** The others, and why; as VCHandle.write would throw it. */
  refused: { id: bigint; error: NetvcError }[]
}

/**
 * One message to many connections, of any thread, by handle or id: a fan-out. The bytes are copied
 * once at most, and shared by all connections that cannot send them at once. Order and refusals are
 * those of VCHandle.write, for each connection by itself.
 */
export function writeMany(
  targets: Iterable<VCHandle | bigint>,
  data: Uint8Array | string,
): WriteManyResult {
  const bytes = toBytes(data, 'data')
  if (
    typeof (targets as { [Symbol.iterator]?: unknown } | undefined)?.[Symbol.iterator] !==
    'function'
  ) {
    throw wrongType('targets', 'an iterable of connections or ids', targets)
  }
  const list = Array.isArray(targets) ? (targets as (VCHandle | bigint)[]) : [...targets]
  if (list.length === 0) return { accepted: 0, refused: [] }
  const ids = new Int32Array(list.length * 2)
  let at = 0
  for (const target of list) {
    if (target instanceof VCHandle) {
      ids[at++] = target.slot
      ids[at++] = target.version
    } else if (typeof target === 'bigint') {
      ids[at++] = Number(BigInt.asIntN(32, target))
      ids[at++] = Number(BigInt.asIntN(32, target >> 32n))
    } else {
      throw wrongType('targets', 'an iterable of connections or ids', target)
    }
  }
  const results = new Int32Array(list.length)
  const accepted = native.writeMany(ids, list.length, bytes, results)
  const refused: WriteManyResult['refused'] = []
  if (accepted < list.length) {
    results.forEach((code, i) => {
      if (code === 0) return
      const handle = new VCHandle(ids[2 * i], ids[2 * i + 1])
      refused.push({ id: handle.id, error: handle.errorOf(code, 'write') })
    })
  }
  return { accepted, refused }
}
