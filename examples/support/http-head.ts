// The head of an HTTP/1.1 message, looked at where it lies: nothing of it is consumed, and what
// stands behind it stays in the buffer. A tunnel sends what is left there before anything else.

import { STATUS_CODES } from 'node:http'
import { MIOBuffer, VCEvent, type IOBufferReader, type VConnection } from 'netvc'

export interface HttpHead {
  /** Method, target and version of a request; version, status and reason of an answer. */
  start: [string, string, string]
  /** By name in lower case; the values of a repeated one are joined with commas. */
  headers: Map<string, string>
  /** In bytes, with the empty line at its end. */
  length: number
  /** It stands at the first byte of the head. */
  reader: IOBufferReader
}

/** An HTTP status to refuse a request with. */
export class HeadError extends Error {
  constructor(readonly status: number) {
    super(STATUS_CODES[status])
  }
}

const maxHead = 16 * 1024
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** What stands before the empty line; undefined when that has not come. */
function beforeEmptyLine(reader: IOBufferReader): string | undefined {
  const bytes = Buffer.alloc(Math.min(reader.readAvail, maxHead))
  reader.peek(bytes)
  const end = bytes.indexOf('\r\n\r\n')
  return end < 0 ? undefined : bytes.toString('latin1', 0, end)
}

function parse(text: string, reader: IOBufferReader): HttpHead {
  const [first = '', ...lines] = text.split('\r\n')
  const start = /^(\S+) (\S+) (.+)$/.exec(first)
  if (!start) throw new HeadError(400)
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    if (colon < 0 || !token.test(name) || /[\0\r\n]/.test(value)) throw new HeadError(400)
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return { start: [start[1], start[2], start[3]], headers, length: text.length + 4, reader }
}

/**
 * Resolves when a head is there. Rejects with a HeadError when it is none, and when the connection
 * ends or a timeout comes before it. The read operation goes on, so that a tunnel finds the rest.
 */
export async function readHead(vc: VConnection): Promise<HttpHead> {
  const buffer = new MIOBuffer()
  const reader = buffer.allocReader()
  const isTooLong = () => reader.readAvail >= maxHead
  await new Promise<void>((resolve) => {
    vc.doIoRead(
      (event) => {
        if (event === VCEvent.ERROR) vc.doIoClose()
        if (event !== VCEvent.READ_READY || isTooLong() || beforeEmptyLine(reader)) resolve()
      },
      Infinity,
      buffer,
    )
  })
  const text = beforeEmptyLine(reader)
  if (text === undefined) throw new HeadError(isTooLong() ? 431 : 408)
  return parse(text, reader)
}

/** The head again, as its fields are now; names are in lower case. */
export function formatHead({ start, headers }: HttpHead): string {
  const fields = [...headers].map(([name, value]) => `${name}: ${value}\r\n`)
  return `${start.join(' ')}\r\n${fields.join('')}\r\n`
}

/** Answers with a status and nothing else, and ends the connection without losing the answer. */
export function refuse(vc: VConnection, error: unknown): void {
  if (vc.closed) return
  const status = error instanceof HeadError ? error.status : 502
  const fields = 'Content-Length: 0\r\nConnection: close'
  try {
    vc.write(`HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}\r\n${fields}\r\n\r\n`)
    vc.closeGracefully()
  } catch {
    vc.doIoClose() // the client has gone
  }
}
