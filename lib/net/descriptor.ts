import { fstatSync } from 'node:fs'
import { isatty } from 'node:tty'
import { codedError } from '../stream-errors.js'
import { checkInteger } from './arguments.js'

/** What a descriptor is, in Node's words; only the first two can be sockets of this module. */
function kindOf(fd: number): 'PIPE' | 'TCP' | 'TTY' | 'FILE' | 'UNKNOWN' | 'INVALID' {
  try {
    const stat = fstatSync(fd)
    if (stat.isFIFO()) return 'PIPE'
    if (stat.isSocket()) return 'TCP'
    if (stat.isFile() || stat.isCharacterDevice()) return isatty(fd) ? 'TTY' : 'FILE'
    return 'UNKNOWN'
  } catch {
    return 'INVALID'
  }
}

export function isSocketLike(fd: number): boolean {
  const kind = kindOf(fd)
  return kind === 'PIPE' || kind === 'TCP'
}

/** options.fd of a socket. */
export function checkDescriptor(fd: unknown): asserts fd is number {
  const n = checkInteger(fd, 'options.fd', 0, 0x7fffffff)
  const kind = kindOf(n)
  if (kind === 'PIPE' || kind === 'TCP') return
  throw codedError('ERR_INVALID_FD_TYPE', `Unsupported fd type: ${kind}`, TypeError)
}
