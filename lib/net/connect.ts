import dns from 'node:dns'
import {
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  isIP,
  type BlockList,
} from 'node:net'
import { nextTick } from '../globals.js'
import { alternate } from '../connector.js'
import { codedError } from '../stream-errors.js'
import { kLink } from '../stream.js'
import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkString,
  isGiven,
  type Options,
} from './arguments.js'
import { Attempt, type AttemptOptions } from './attempt.js'
import type { Endpoint } from './engine.js'
import { badPort, invalidIP, invalidType, missingArgs } from './errors.js'
import type { NetSocket } from './socket.js'

const shortestAttempt = 10

/** socket.connect(): wrong arguments throw, everything else is told later. */
export function startConnect(socket: NetSocket, options: Options, told?: () => void): void {
  const link = socket[kLink]
  const { path, port } = options
  if (!isGiven(path) && port === undefined) throw missingArgs()
  if (path) checkString(path, 'options.path')
  const plan = path ? undefined : checked(socket, options)
  if (told) socket.once('connect', told)
  link.expect(true)
  if (plan === undefined) {
    begin(socket, [{ address: path as string, port: undefined }], { attemptTimeout: 0 })
    return
  }
  const { host, port: number, ...how } = plan
  if (isIP(host) === 0) {
    lookUp(socket, options, plan)
    return
  }
  nextTick(() => {
    if (link.connecting && socket[kLink] === link)
      begin(socket, [{ address: host, port: number }], how)
  })
}

interface Plan extends AttemptOptions {
  host: string
  port: number
  select: boolean
}

function checked(socket: NetSocket, options: Options): Plan {
  const { localAddress, localPort, port, lookup } = options
  const host = options['host'] || 'localhost'
  checkString(host, 'options.host')
  if (localAddress && isIP(localAddress as string) === 0) throw invalidIP(localAddress as string)
  if (localPort !== undefined && localPort !== null && typeof localPort !== 'number') {
    throw invalidType('options.localPort', 'of type number', localPort)
  }
  const number = port === undefined ? 0 : checkPort(port) // undefined: beside an empty path
  const { autoSelectFamily, autoSelectFamilyAttemptTimeout: timeout } = options
  if (isGiven(autoSelectFamily)) checkBoolean(autoSelectFamily, 'options.autoSelectFamily')
  if (isGiven(timeout)) {
    checkInteger(timeout, 'options.autoSelectFamilyAttemptTimeout', 1, 0x7fffffff)
  }
  if (isGiven(lookup)) checkFunction(lookup, 'options.lookup')
  return {
    host,
    port: number,
    select: autoSelectFamily ?? getDefaultAutoSelectFamily(),
    localAddress: (localAddress as string | undefined) || undefined,
    localPort: (localPort as number | undefined) || undefined,
    blockList: (options['blockList'] as BlockList | undefined) ?? socket[kLink].blockList,
    attemptTimeout: Math.max(
      (timeout as number | undefined) ?? getDefaultAutoSelectFamilyAttemptTimeout(),
      shortestAttempt,
    ),
  }
}

function checkPort(port: unknown): number {
  if (typeof port !== 'number' && typeof port !== 'string') {
    throw invalidType('options.port', 'one of type number or string', port)
  }
  const number = Number(port)
  const valid = String(port).trim() !== '' && Number.isInteger(number)
  if (!valid || number < 0 || number > 65535) throw badPort('Port', port)
  return number
}

function begin(socket: NetSocket, addresses: readonly Endpoint[], options: AttemptOptions): void {
  const attempt = new Attempt(socket, addresses, options)
  socket[kLink].attempt = attempt
  if (addresses.length > 1) socket.autoSelectFamilyAttemptedAddresses = []
  attempt.start()
}

function lookUp(socket: NetSocket, options: Options, plan: Plan): void {
  const link = socket[kLink]
  const { host, port, localAddress, select } = plan
  const family = options['family'] as number | string | undefined
  const hints = (options['hints'] as number | undefined) ?? 0
  const all = select && family !== 4 && family !== 6 && localAddress === undefined
  const either = family !== 4 && family !== 6 && hints === 0
  const wanted = { family, hints: either ? dns.ADDRCONFIG : hints, ...(all && { all: true }) }
  const lookup = (options['lookup'] ?? dns.lookup) as (
    host: string,
    options: object,
    told: (error: Error | null, found?: unknown, family?: unknown) => void,
  ) => void
  const fail = (error: Error) => nextTick(() => socket.destroy(error))
  lookup(host, wanted, (error, found, type) => {
    const list: Found[] = Array.isArray(found)
      ? (found as Found[])
      : [{ address: found as string, family: type as number }]
    if (error && all) socket.emit('lookup', error, undefined, undefined, host)
    else for (const one of list) socket.emit('lookup', error, one.address, one.family, host)
    if (!link.connecting || socket[kLink] !== link) return
    if (error) {
      fail(error)
      return
    }
    const usable = list.filter((one) => isIP(one.address) !== 0 && isFamily(one.family))
    if (usable.length === 0) {
      const [first] = list
      fail(
        first && isIP(first.address) === 0
          ? invalidIP(first.address)
          : Object.assign(
              codedError(
                'ERR_INVALID_ADDRESS_FAMILY',
                `Invalid address family: ${String(first?.family)} ${host}:${String(port)}`,
                RangeError,
              ),
              { host, port },
            ),
      )
      return
    }
    begin(
      socket,
      alternate(all ? usable : usable.slice(0, 1)).map(({ address }) => ({ address, port })),
      plan,
    )
  })
}

interface Found {
  address: string
  family: number
}

const isFamily = (family: number) => family === 4 || family === 6
