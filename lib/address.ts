import { ADDRCONFIG } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { alternate } from './connector.js'
import { NetvcArgumentError, systemError, wrongType } from './errors.js'

/** An address as native code takes it: kind 0 is TCP, 1 is a unix socket. */
export interface ParsedAddress {
  kind: 0 | 1
  /** An IP literal or a name; for unix sockets the path, or `@name` in the abstract namespace. */
  host: string
  port: number
}

const forms = 'tcp://127.0.0.1:80, tcp://[::1]:80, tcp://host:80, unix:///path or unix://@name'

function invalid(address: string, why: string): NetvcArgumentError {
  const text = `Invalid address ${JSON.stringify(address)}: ${why}. Addresses look like ${forms}.`
  return new NetvcArgumentError('ERR_INVALID_ADDRESS', text)
}

/** Parses `tcp://host:port`, `tcp://[v6]:port`, `unix:///path`, `unix://@abstract`. */
export function parseAddress(address: unknown): ParsedAddress {
  if (typeof address !== 'string') throw wrongType('address', `a string such as ${forms}`, address)
  if (address.startsWith('unix://')) {
    const path = address.slice('unix://'.length)
    if (path === '' || path === '@') throw invalid(address, 'the path is missing')
    if (Buffer.byteLength(path) > 107) throw invalid(address, 'the path is longer than 107 bytes')
    if (path.includes('\0')) throw invalid(address, 'the path contains a zero byte')
    return { kind: 1, host: path, port: 0 }
  }
  const match = /^tcp:\/\/(?:\[([^\]]*)\]|([^:[\]/]*)):([^:]*)$/.exec(address)
  if (!match) {
    const known = /^(tcp|unix):/.test(address)
    throw invalid(address, known ? 'it needs a host and a port' : 'the scheme must be tcp or unix')
  }
  const [, v6, name, digits] = match
  if (!/^\d{1,5}$/.test(digits ?? '') || Number(digits) > 65535) {
    throw invalid(
      address,
      `the port must be a number from 0 to 65535, not ${JSON.stringify(digits)}`,
    )
  }
  if (v6 !== undefined && isIP(v6.replace(/%.*$/, '')) !== 6) {
    throw invalid(address, `${JSON.stringify(v6)} is not an IPv6 address`)
  }
  const host = v6 ?? name ?? ''
  if (host === '')
    throw invalid(address, 'the host is missing; 0.0.0.0 and [::] mean every address')
  if (/^[\d.]+$/.test(host) && isIP(host) !== 4) {
    throw invalid(address, `${JSON.stringify(host)} is not an IPv4 address`)
  }
  return { kind: 0, host, port: Number(digits) }
}

/** Whether it has to be looked up. */
export function isName({ kind, host }: ParsedAddress): boolean {
  return kind === 0 && isIP(host.replace(/%.*$/, '')) === 0
}

/** As users write it. */
export function urlOf({ kind, host, port }: ParsedAddress): string {
  if (kind === 1) return `unix://${host}`
  return `tcp://${host.includes(':') ? `[${host}]` : host}:${String(port)}`
}

/** Replaces a name by its first address, as server.listen() of node:net does. */
export async function lookUpFirst(parsed: ParsedAddress, syscall: string): Promise<ParsedAddress> {
  if (!isName(parsed)) return parsed
  const { address } = await lookup(parsed.host).catch(unknownName(parsed, syscall))
  return { ...parsed, host: address }
}

/** The addresses of a name, the families in turns; only those that localAddress can reach. */
export async function lookUpAll(
  parsed: ParsedAddress,
  syscall: string,
  localAddress: string | undefined,
): Promise<ParsedAddress[]> {
  const family = localAddress === undefined ? 0 : isIP(localAddress.replace(/%.*$/, ''))
  const wanted = { all: true, family, hints: ADDRCONFIG } as const
  const found = await lookup(parsed.host, wanted).catch(unknownName(parsed, syscall))
  return alternate(found).map(({ address }) => ({ ...parsed, host: address }))
}

function unknownName(parsed: ParsedAddress, syscall: string): (cause: unknown) => never {
  return (cause) => {
    const url = urlOf(parsed)
    const error = systemError(0, syscall, url)
    error.code = (cause as { code?: string }).code ?? 'ENOTFOUND'
    error.message = `${syscall} ${error.code} ${url}: the name has no address`
    error.cause = cause
    throw error
  }
}
