import { cpSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { temporaryDirectory } from '../support/addresses.js'
import { endsWell, runChild } from '../support/child.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** Another copy of the JavaScript, which finds the same addon. */
function copy(name: string): string {
  const at = path.join(temporaryDirectory(), name)
  for (const part of ['dist', 'package.json'])
    cpSync(path.join(root, part), path.join(at, part), { recursive: true })
  symlinkSync(path.join(root, 'build'), path.join(at, 'build'))
  return path.join(at, 'dist', 'index.js')
}

describe('the package evaluated several times in one thread', () => {
  test('every copy works, while others are there and after they have closed', async () => {
    const files = [copy('one'), copy('two')]
    const result = await runChild(`
      const copies = [{ Reactor, MIOBuffer, VCEvent }]
      for (const file of ${JSON.stringify(files)}) copies.push(await import(file))
      async function serve({ Reactor, MIOBuffer, VCEvent }, reactor) {
        const pipe = () => { const b = new MIOBuffer(); return [b, b.allocReader()] }
        const l = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
          const [b, r] = pipe()
          vc.doIoRead((e) => e === VCEvent.READ_READY ? vc.write(r.read()) : vc.doIoClose(), Infinity, b)
        })
        return async () => {
          const vc = await reactor.connect(l.addresses[0])
          const [b, r] = pipe()
          const got = new Promise((resolve) => vc.doIoRead(() => resolve(r.read().toString()), Infinity, b))
          vc.write('ping')
          const text = await got
          vc.doIoClose()
          return text
        }
      }
      const all = []
      for (const c of copies)
        for (const reactor of [new c.Reactor(), new c.Reactor({ threads: 1 }), c.Reactor.shared({ threads: 1 })])
          all.push({ reactor, ask: await serve(c, reactor) })
      for (const { ask } of all) console.log(await ask())
      for (const { reactor } of all.slice(6)) await reactor.close()
      for (const { ask } of all.slice(0, 6)) console.log(await ask())
      const told = new Promise((resolve) => all[2].reactor.register((vc) => { vc.doIoClose(); resolve() }))
      const one = await all[2].reactor.listen('tcp://127.0.0.1:0', () => {}, { distribute: 'round-robin' })
      await all[5].reactor.connect(one.addresses[0])
      await told
      all[2].reactor.unregister()
      for (const { reactor } of all.slice(0, 6)) await reactor.close()`)
    expect(result).toMatchObject(endsWell)
    expect(result.stdout).toBe('ping\n'.repeat(9 + 6))
  })
})
