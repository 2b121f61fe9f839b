import { getSystemErrorMap } from 'node:util'
import { errno, errnoName, type NetvcError } from './errors.js'

/** An error of the system as Node's own sockets give it. */
export interface SystemError extends Error {
  errno: number
  code: string
  syscall: string
  address?: string
  port?: number
}

/** `read ECONNRESET`; n is an errno of either sign. */
export function systemErrorOf(n: number, syscall: string): SystemError {
  const code = errnoName(Math.abs(n))
  const error = new Error(`${syscall} ${code}`)
  return Object.assign(error, { errno: -Math.abs(n), code, syscall })
}

/** What the system says about an error number: `address already in use`. */
export function systemMessage(n: number): string {
  return getSystemErrorMap().get(-Math.abs(n))?.[1] ?? 'unknown error'
}

/** An Error with a code, as Node makes them for wrong use; its stack names the code. */
export function codedError(code: string, message: string, Base: ErrorConstructor = Error): Error {
  const error = new Base(message)
  Object.defineProperty(error, 'code', { value: code, enumerable: true, writable: true })
  Object.defineProperty(error, 'stack', {
    value: error.stack?.replace(error.name, `${error.name} [${code}]`),
    configurable: true,
    writable: true,
  })
  return error
}

/** As Node's streams tell what was written to one that was destroyed. */
export const destroyedError = () =>
  codedError('ERR_STREAM_DESTROYED', 'Cannot call write after a stream was destroyed')

/** The failure of a connection, as its stream tells it; what setFailed() was given stays as it is. */
export function streamError(error: NetvcError, syscall: string): Error {
  if (error.errno === undefined) return error
  const known = (errno as Record<string, number | undefined>)[error.code]
  return known === undefined ? error : systemErrorOf(known, syscall)
}

/** How a write that was refused, or lost, is told: that of a closed connection as by the system. */
export function writeError(error: NetvcError): Error {
  const { code } = error
  const closed = code === 'ERR_VC_CLOSED' || code === 'ERR_VC_SHUT'
  return closed ? systemErrorOf(errno.EPIPE, 'write') : streamError(error, 'write')
}
