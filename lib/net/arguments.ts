import { badPort, badRange, invalidType, invalidValue } from './errors.js'

export type Options = Record<string, unknown>
type Listener = (...args: unknown[]) => void

const isPortText = (value: unknown) =>
  typeof value === 'number' || (typeof value === 'string' && value.trim() !== '')

/** The forms (options), (path) and (port[, host]), each with a callback at its end. */
export function formOf(args: readonly unknown[]): [options: Options, callback?: Listener] {
  const last = args.at(-1)
  const callback = typeof last === 'function' ? (last as Listener) : undefined
  const [first, second] = args
  if (args.length === 0) return [{}, undefined]
  let options: Options
  if (typeof first === 'object' && first !== null) options = { ...first }
  else if (isPipeName(first)) options = { path: first }
  else {
    options = { port: first }
    if (args.length > 1 && typeof second === 'string') options['host'] = second
  }
  if (typeof first === 'function') options = {}
  return [options, callback]
}

/** A string that is no port. */
export function isPipeName(value: unknown): value is string {
  return typeof value === 'string' && !(Number(value) >= 0)
}

/** A port from a number or a text. */
export function portOf(value: unknown, name: string): number {
  const n = Number(value)
  if (!isPortText(value) || !Number.isInteger(n) || n < 0 || n > 65535) throw badPort(name, value)
  return n
}

export function checkFunction(value: unknown, name: string): asserts value is Listener {
  if (typeof value !== 'function') throw invalidType(name, 'of type function', value)
}

export function checkBoolean(value: unknown, name: string): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value)
}

export function checkString(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value)
}

export function checkInteger(value: unknown, name: string, min: number, max: number): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value)
  if (!Number.isInteger(value)) throw badRange(name, 'an integer', value)
  if (value < min || value > max) {
    throw badRange(name, `>= ${String(min)} && <= ${String(max)}`, value)
  }
  return value
}

export function checkSignal(value: unknown, name: string): asserts value is AbortSignal {
  if (typeof value !== 'object' || value === null || !('aborted' in value)) {
    throw invalidType(name, 'an instance of AbortSignal', value)
  }
}

/** family of a lookup: 4, 6, 0 for both. */
export function familyNumber(value: unknown): 0 | 4 | 6 {
  if (value === 'IPv4' || value === 4) return 4
  if (value === 'IPv6' || value === 6) return 6
  if (value === 0 || value === undefined || value === null) return 0
  throw invalidValue('options.family', value)
}

/** Node takes null for an option that is not given. */
export function isGiven<T>(value: T | null | undefined): value is T {
  return value !== undefined && value !== null
}
