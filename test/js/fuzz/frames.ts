// The bytes of the fuzzer. Two kinds of senders share a connection: messages, which leave as a whole
// and in the order of their sender (SW-9), and a write operation, between whose bytes they may come.
// So that a receiver can tell one from the other at every byte, those of an operation are below 0x80
// and follow a pattern by their position, and a message is a frame: a head that begins with 0x80 or
// more, and a body that follows a pattern by who sent it.
import { pattern } from '../support/pattern.js'

const headBytes = 20
const magic = 0xc3
/** Sent out of band; it may stay in the stream, between two frames or bytes of an operation. */
export const urgent = 0xff
/** Of a frame: 0x80 a message, 0x81 a mark: where the bytes of an operation go on. */
const message = 0x80
const mark = 0x81
/** The sender's label of what goes to many connections at once. */
export const fanOut = 0

export interface Head {
  kind: number
  /** The connection that it was given to. */
  label: number
  /** The thread that gave it. */
  producer: number
  seq: number
  length: number
}

function encode(head: Head): Buffer {
  const bytes = Buffer.alloc(headBytes)
  bytes[0] = head.kind
  bytes[1] = magic
  bytes.writeUInt16LE(head.producer, 2)
  bytes.writeUInt32LE(head.label, 4)
  bytes.writeUInt32LE(head.seq, 8)
  bytes.writeUInt32LE(head.length, 12)
  bytes.writeInt32LE(checksum(bytes), 16)
  return bytes
}

function checksum(head: Buffer): number {
  let sum = 1
  for (let i = 0; i < 16; i++) sum = Math.imul(sum ^ head[i], 0x01000193)
  return sum
}

const bodyAt = ({ label, producer, seq }: Head) =>
  (label * 7919 + producer * 104_729 + seq * 31) % 65_521

export function messageOf(label: number, producer: number, seq: number, length: number): Buffer {
  const head = { kind: message, label, producer, seq, length }
  return Buffer.concat([encode(head), pattern(length, bodyAt(head))])
}

/** The operation of this connection goes on with its byte `at`; salt names the operation's stream. */
export function markOf(salt: number, at: number): Buffer {
  return encode({ kind: mark, label: salt, producer: 0, seq: at, length: 0 })
}

/** n bytes of a write operation. */
export function operationBytes(salt: number, at: number, n: number): Buffer {
  const bytes = pattern(n, at + salt * 4099)
  for (let i = 0; i < n; i++) bytes[i] &= 0x7f
  return bytes
}

/** Where a receiver is, between two frames. */
export interface Place {
  salt: number
  at: number
}

/** What a receiver has got: checks each byte, and keeps which messages have come. */
export class Parser {
  #head = Buffer.alloc(headBytes)
  #have = 0
  #current: Head | undefined
  #bodyHave = 0
  /** Last seq by sender: `label/producer`. */
  readonly #last = new Map<string, number>()
  /** Wholly received, by `label/producer`. */
  readonly got = new Map<string, number[]>()
  /** Of whom the first message was. */
  peer: number | undefined
  bytes = 0

  constructor(public place: Place = { salt: 0, at: 0 }) {}

  /** Whether it is between two frames. */
  get between(): boolean {
    return this.#have === 0 && this.#current === undefined
  }

  /** Throws what is wrong with them. */
  take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const used = this.#some(bytes, at)
      at += used
      this.bytes += used
    }
  }

  #some(bytes: Uint8Array, at: number): number {
    if (this.#current) return this.#body(bytes, at, this.#current)
    if (this.#have === 0 && bytes[at] === urgent) return 1
    if (this.#have > 0 || bytes[at] >= 0x80) return this.#headPart(bytes, at)
    return this.#operation(bytes, at)
  }

  #operation(bytes: Uint8Array, at: number): number {
    let end = at
    while (end < bytes.length && bytes[end] < 0x80) end++
    const { salt, at: position } = this.place
    const wanted = operationBytes(salt, position, end - at)
    for (let i = at; i < end; i++) {
      if (bytes[i] !== wanted[i - at]) {
        throw new Error(
          `INV-4: byte ${String(position + i - at)} of operation ${String(salt)} is wrong, at ${String(this.bytes + i - at)} of the connection`,
        )
      }
    }
    this.place = { salt, at: position + end - at }
    return end - at
  }

  #headPart(bytes: Uint8Array, at: number): number {
    const n = Math.min(headBytes - this.#have, bytes.length - at)
    this.#head.set(bytes.subarray(at, at + n), this.#have)
    this.#have += n
    if (this.#have === headBytes) this.#begin(this.#head)
    return n
  }

  #begin(bytes: Buffer): void {
    if (bytes[1] !== magic || bytes.readInt32LE(16) !== checksum(bytes)) {
      throw new Error(
        `SW-9: no message begins at byte ${String(this.bytes)} of the connection: ${bytes.toString('hex')}`,
      )
    }
    this.#have = 0
    const head = {
      kind: bytes[0],
      producer: bytes.readUInt16LE(2),
      label: bytes.readUInt32LE(4),
      seq: bytes.readUInt32LE(8),
      length: bytes.readUInt32LE(12),
    }
    if (head.kind === mark) {
      this.place = { salt: head.label, at: head.seq }
      return
    }
    const key = `${String(head.label)}/${String(head.producer)}`
    const last = this.#last.get(key) ?? -1
    if (head.seq <= last) {
      throw new Error(`INV-9: message ${String(head.seq)} of ${key} comes behind ${String(last)}`)
    }
    this.#last.set(key, head.seq)
    if (head.label !== fanOut) this.peer ??= head.label
    this.#current = head
    this.#bodyHave = 0
    if (head.length === 0) this.#whole(head)
  }

  #body(bytes: Uint8Array, at: number, head: Head): number {
    const n = Math.min(head.length - this.#bodyHave, bytes.length - at)
    const wanted = pattern(n, bodyAt(head) + this.#bodyHave)
    if (!wanted.equals(bytes.subarray(at, at + n))) {
      throw new Error(
        `INV-9: message ${String(head.seq)} of ${String(head.label)}/${String(head.producer)} is wrong within its bytes ${String(this.#bodyHave)} to ${String(this.#bodyHave + n)} of ${String(head.length)}`,
      )
    }
    this.#bodyHave += n
    if (this.#bodyHave === head.length) this.#whole(head)
    return n
  }

  #whole(head: Head): void {
    this.#current = undefined
    const key = `${String(head.label)}/${String(head.producer)}`
    const list = this.got.get(key)
    if (list) list.push(head.seq)
    else this.got.set(key, [head.seq])
  }
}
