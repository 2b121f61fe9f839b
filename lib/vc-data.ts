import { deserialize, serialize } from 'node:v8'
import { NetvcArgumentError, outOfRange, received, wrongType } from './errors.js'
import { GONE, native } from './native.js'
import { assertThere } from './socket-options.js'
import type { VCSocket } from './socket.js'
import type { VIO } from './vio.js'

/** What VConnection.getData() answers, by name. */
export interface VCData {
  /** Its read operation; undefined before the first doIoRead(). */
  readVio: VIO | undefined
  /** Its write operation; undefined before the first doIoWrite(). */
  writeVio: VIO | undefined
  /** 0: open; 1: closed; -1: closed by an abort, that is with an errno or a reset (CL-6). */
  closed: 0 | 1 | -1
  /** Of an end of a pair: what setData('local') here, or setData('remote') at the other end, has set. */
  local: unknown
  /** Of an end of a pair: what is local at the other end. */
  remote: unknown
}

/** Bytes that a value may take as a structured clone. */
const maxData = 65_536
const nothing = new Uint8Array(0)
const names = ['readVio', 'writeVio', 'closed', 'local', 'remote']

/** @internal */
export function checkDataName(what: unknown): asserts what is keyof VCData {
  if (typeof what !== 'string') throw wrongType('what', `one of ${names.join(', ')}`, what)
  if (names.includes(what)) return
  const text = `The "what" argument must be one of ${names.join(', ')}. Received ${received(what)}.`
  throw new NetvcArgumentError('ERR_INVALID_ARG_VALUE', text)
}

/** @internal VConnection.getData() of 'local' and 'remote' */
export function pairData(vc: VCSocket, what: 'local' | 'remote'): unknown {
  const bytes = native.pairData(vc.slot, vc.version, what === 'remote' ? 1 : 0)
  return bytes && (deserialize(bytes) as unknown)
}

/** @internal VConnection.setData() */
export function setData(vc: VCSocket, what: unknown, value: unknown): boolean {
  checkDataName(what)
  const bytes = value === undefined ? nothing : bytesOf(value)
  assertThere(vc, 'setData')
  if (what !== 'local' && what !== 'remote') return false
  const r = native.setPairData(vc.slot, vc.version, what === 'remote' ? 1 : 0, bytes)
  if (r === GONE) vc.assertUsable('setData')
  return r === 0
}

function bytesOf(value: unknown): Uint8Array {
  let bytes
  try {
    bytes = serialize(value)
  } catch (cause) {
    const what = 'a value that can be copied by structured clone, as postMessage() does'
    throw Object.assign(wrongType('value', what, value), { cause })
  }
  if (bytes.length > maxData) {
    const most = `at most ${String(maxData)} bytes as a structured clone`
    throw outOfRange('value', most, `${String(bytes.length)} bytes`)
  }
  return bytes
}
