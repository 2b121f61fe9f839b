import { inspect } from 'node:util'
import { errnoName } from '../errors.js'
import { codedError, systemMessage, type SystemError } from '../stream-errors.js'

/** How Node ends the message of a wrong type. */
function receivedText(value: unknown): string {
  if (value === null || value === undefined) return ` Received ${String(value)}`
  if (typeof value === 'function') return ` Received function ${value.name}`
  if (typeof value === 'object') {
    const name = (value.constructor as { name?: string } | undefined)?.name
    return name ? ` Received an instance of ${name}` : ` Received ${inspect(value, { depth: -1 })}`
  }
  let text = inspect(value, { colors: false })
  if (text.length > 28) text = `${text.slice(0, 25)}...`
  return ` Received type ${typeof value} (${text})`
}

const kindOf = (name: string) => (name.includes('.') ? 'property' : 'argument')

/** expected: as in `must be of type string`. */
export function invalidType(name: string, expected: string, value: unknown): Error {
  const text = `The "${name}" ${kindOf(name)} must be ${expected}.${receivedText(value)}`
  return codedError('ERR_INVALID_ARG_TYPE', text, TypeError)
}

export function invalidValue(name: string, value: unknown, why = 'is invalid'): Error {
  let text = inspect(value)
  if (text.length > 128) text = `${text.slice(0, 128)}...`
  const message = `The ${kindOf(name)} '${name}' ${why}. Received ${text}`
  return codedError('ERR_INVALID_ARG_VALUE', message, TypeError)
}

export function badRange(name: string, range: string, value: unknown): Error {
  const text = `The value of "${name}" is out of range. It must be ${range}. Received ${inspect(value)}`
  return codedError('ERR_OUT_OF_RANGE', text, RangeError)
}

export function badPort(name: string, value: unknown, zero = true): Error {
  const operator = zero ? '>=' : '>'
  const text = `${name} should be ${operator} 0 and < 65536.${receivedText(value)}.`
  return codedError('ERR_SOCKET_BAD_PORT', text, RangeError)
}

export const missingArgs = () =>
  codedError(
    'ERR_MISSING_ARGS',
    'The "options" or "port" or "path" argument must be specified',
    TypeError,
  )

export const blockedAddress = (ip: string) =>
  codedError('ERR_IP_BLOCKED', `IP(${ip}) is blocked by net.BlockList`)

export const invalidIP = (ip: string) =>
  codedError('ERR_INVALID_IP_ADDRESS', `Invalid IP address: ${ip}`, TypeError)

interface Place {
  address?: string
  port?: number
}

/** `connect ECONNREFUSED 127.0.0.1:80 - Local (127.0.0.1:90)`: what connecting has come to. */
export function connectError(n: number, to: Place, from?: Place): SystemError {
  const code = errnoName(Math.abs(n))
  const local = from === undefined ? '' : ` - Local (${placeText(from)})`
  const error = new Error(`connect ${code} ${placeText(to)}${local}`)
  return Object.assign(error, { errno: -Math.abs(n), code, syscall: 'connect' }, placed(to))
}

/** `listen EADDRINUSE: address already in use 127.0.0.1:80`. */
export function listenError(n: number, at: Place): SystemError {
  const code = errnoName(Math.abs(n))
  const where = at.address === undefined ? '' : ` ${placeText(at)}`
  const error = new Error(`listen ${code}: ${systemMessage(n)}${where}`)
  return Object.assign(error, { code, errno: -Math.abs(n), syscall: 'listen' }, placed(at))
}

function placeText({ address = '', port }: Place): string {
  return port !== undefined && port > 0 ? `${address}:${String(port)}` : address
}

function placed({ address, port }: Place): Place {
  return { ...(address && { address }), ...(port && { port }) }
}
