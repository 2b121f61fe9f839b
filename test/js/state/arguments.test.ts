import { NetvcError } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import { asynchronous } from './wrong-async.js'
import { functions, type Subject } from './wrong.js'

function judge(error: unknown, names: string, code: string): void {
  expect(error).toMatchObject({ code })
  expect(error).toBeInstanceOf(TypeError)
  expect(error).toBeInstanceOf(NetvcError)
  expect((error as Error).message.toLowerCase()).toContain(names.toLowerCase())
}

describe('wrong arguments', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    async function subject(): Promise<Subject> {
      const { world } = box
      const [vc, other] = await world.pair()
      const [buffer, reader] = world.pipe()
      buffer.write('abc')
      const vio = vc.doIoRead(() => {}, 10, world.buffer())
      const elsewhere = world.another()
      const listener = await elsewhere.listen('tcp://127.0.0.1:0', () => {})
      const foreign = await elsewhere.connect(listener.addresses[0])
      return { vc, other, foreign, vio, buffer, reader, reactor: world.reactor }
    }

    test('of functions throw at once, with a code, and change nothing (ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE)', async () => {
      const s = await subject()
      const before = [
        s.reactor.stats().buffers,
        s.buffer.readerCount,
        s.buffer.produced,
        s.reader.readAvail,
      ]
      for (const [name, [call, names, wrong]] of Object.entries(functions)) {
        for (const [w, code] of wrong) {
          let error: unknown = `${name} took ${String(w)}`
          try {
            call(s, w)
          } catch (e) {
            error = e
          }
          judge(error, names, code)
        }
      }
      expect([
        s.reactor.stats().buffers,
        s.buffer.readerCount,
        s.buffer.produced,
        s.reader.readAvail,
      ]).toEqual(before)
      expect([s.vc.closed, s.other.closed, s.vio.nbytes, s.vc.doIoRead(null, 0, null)]).toEqual([
        false,
        false,
        10,
        s.vio,
      ])
    })

    test('of asynchronous functions reject, and never throw (ERR_INVALID_ADDRESS, ERR_INVALID_ARG_VALUE)', async () => {
      const s = await subject()
      await eventually(() => s.reactor.stats().open === 2, 'both are counted')
      for (const [name, [call, names, wrong]] of Object.entries(asynchronous)) {
        for (const [w, code] of wrong) {
          const promise = call(s, w) as Promise<unknown>
          expect(promise).toBeInstanceOf(Promise)
          const error = await promise.then(
            () => `${name} took ${String(w)}`,
            (e: unknown) => e,
          )
          judge(error, names, code)
        }
      }
      expect(s.reactor.stats().open).toBe(2)
    })
  })
})
