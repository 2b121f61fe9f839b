import dns from 'node:dns'
import dnsPromises from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'
import { afterAll } from 'vitest'

const name = 'name.test'

export interface Found {
  address: string
  family: 4 | 6
}

type Told = (error: Error | null, found: Found[] | string, family?: number) => void

/**
 * Takes the place of the system's resolver, which knows no name with two addresses everywhere, and
 * is never slow when a test wants it. answer() is what look-ups of `name.test` get, and when.
 */
export function useResolver(): { answer: (options: { family?: number }) => Promise<Found[]> } {
  const box = { answer: (_: { family?: number }) => Promise.resolve<Found[]>([]) }
  const { lookup } = dns
  const { lookup: lookupPromise } = dnsPromises
  const answered = async (options: { all?: boolean; family?: number }) => {
    const found = await box.answer(options)
    return options.all ? found : found[0]
  }
  Object.assign(dns, {
    lookup: (host: string, options: object | Told, told?: Told) => {
      const tell = told ?? (options as Told)
      if (host !== name) {
        lookup(host, told ? options : {}, tell as never)
        return
      }
      void answered(told ? options : {}).then((found) => {
        if (Array.isArray(found)) tell(null, found)
        else tell(null, found.address, found.family)
      })
    },
  })
  Object.assign(dnsPromises, {
    lookup: (host: string, options = {}) =>
      host === name ? answered(options) : lookupPromise(host, options),
  })
  syncBuiltinESMExports()
  afterAll(() => {
    Object.assign(dns, { lookup })
    Object.assign(dnsPromises, { lookup: lookupPromise })
    syncBuiltinESMExports()
  })
  return box
}
