import type { AsyncResource } from 'node:async_hooks'
import type { Duplex } from 'node:stream'
import { outOfRange, wrongType } from './errors.js'
import { nextTick } from './globals.js'
import { inClosingPhase, tell } from './loop.js'
import type { KeepAliveOptions } from './socket-options.js'

/** What address() of a stream answers, as net.AddressInfo. */
export interface StreamAddress {
  address: string
  family: string
  port: number
}

interface Closing {
  stream: Duplex
  hadError: boolean
  context: AsyncResource
}
let closing: Closing[] = []

function tellClosed(): void {
  const all = closing.reverse() // the loop tells the last one first
  closing = []
  for (const { stream, hadError, context } of all) {
    context.runInAsyncScope(tell, undefined, () => stream.emit('close', hadError))
  }
}

/** 'close' of a stream that had a connection, or tried: when a handle of the loop is told so. */
export function closeLater(one: Closing): void {
  if (closing.length === 0) inClosingPhase(tellClosed)
  closing.push(one)
}

/** 'close' of a stream that never had anything to close: behind its 'error', as by net.Socket. */
export function closeSoon(stream: Duplex): void {
  nextTick(() => stream.emit('close'))
}

/** Bytes that were written to a stream and have not come to its _write(). */
export function bufferedBytes(stream: Duplex): number {
  const { writableBuffer } = stream as unknown as {
    writableBuffer?: { chunk: Uint8Array | string; encoding: BufferEncoding }[]
  }
  let bytes = 0
  for (const { chunk, encoding } of writableBuffer ?? []) bytes += byteLength(chunk, encoding)
  return bytes
}

export function byteLength(chunk: Uint8Array | string, encoding: BufferEncoding): number {
  return typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length
}

/** Seconds between probes, and their number, as Node has them. */
const interval = 1
const count = 10

/** net.Socket's keep-alive as socket options; initialDelay in milliseconds, 0: as it is. */
export function keepAliveOf(on: boolean, initialDelay = 0): boolean | KeepAliveOptions {
  const idle = Math.min(Math.trunc(Number(initialDelay) / 1000) || 0, 32767)
  return on && idle > 0 ? { idle, interval, count } : on
}

/** msecs of setTimeout(). */
export function checkTimeout(ms: unknown, callback: unknown): void {
  if (typeof ms !== 'number') throw wrongType('msecs', 'of type number', ms)
  if (!(ms >= 0 && ms < Infinity)) throw outOfRange('msecs', 'a non-negative finite number', ms)
  if (callback !== undefined && typeof callback !== 'function') {
    throw wrongType('callback', 'of type function', callback)
  }
}

export function familyOf(address: string | undefined): 'IPv4' | 'IPv6' | undefined {
  return address === undefined ? undefined : address.includes(':') ? 'IPv6' : 'IPv4'
}
