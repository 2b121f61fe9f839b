import { readdirSync, readlinkSync } from 'node:fs'

/** Sockets and pollers of this process, by what /proc says they are. */
export function openDescriptors(): string[] {
  const found: string[] = []
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      if (/^(socket:|pipe:|anon_inode:\[event)/.test(target)) found.push(target)
    } catch {
      // The directory listing's own descriptor.
    }
  }
  return found
}
