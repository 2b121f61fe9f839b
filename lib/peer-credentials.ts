import { errno, NetvcError, systemError } from './errors.js'
import { GONE, native } from './native.js'
import type { VCSocket } from './socket.js'

/** The process at the other end of a unix socket, as the kernel vouches for it. */
export interface PeerCredentials {
  /** 0: it is not visible from this process, since it is in another pid namespace. */
  pid: number
  /** The effective user; 65534 where this process's user namespace has no number for it. */
  uid: number
  /** The effective group; the same. */
  gid: number
}

/** @internal VConnection.peerCredentials */
export function peerCredentials(vc: VCSocket): PeerCredentials | undefined {
  if (vc.closed) return undefined
  const found = native.peerCredentials(vc.slot, vc.version)
  if (found === GONE) return undefined
  if (typeof found !== 'number') {
    const [pid, uid, gid] = found
    return { pid, uid, gid }
  }
  if (found !== -errno.EOPNOTSUPP && found !== -errno.ENOTSOCK)
    throw systemError(found, 'peerCredentials', vc.remoteAddress)
  const of = vc.pair ? 'an end of a pair' : (vc.remoteAddress ?? '') || 'not a socket'
  throw new NetvcError(
    'EOPNOTSUPP',
    `peerCredentials EOPNOTSUPP: only a unix socket knows its peer's process, and this is ${of}; ` +
      'listen on or connect to unix://',
    { errno: -errno.EOPNOTSUPP, syscall: 'peerCredentials' },
  )
}
