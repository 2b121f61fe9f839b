import net from 'netvc/net'
import { describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'

// What programs see of the module beside its events.

test('constructors work without new, and as bases', () => {
  const make = net.Socket as unknown as () => net.Socket
  expect(make()).toBeInstanceOf(net.Socket)
  expect((net.Server as unknown as () => net.Server)()).toBeInstanceOf(net.Server)
  class Mine extends net.Socket {
    more = 1
  }
  const mine = new Mine()
  expect([mine.more, mine instanceof net.Socket, mine.constructor]).toEqual([1, true, Mine])
  function Old(this: net.Socket) {
    make.call(this as never)
  }
  Object.setPrototypeOf(Old.prototype, net.Socket.prototype)
  const old = new (Old as unknown as new () => net.Socket)()
  expect([old instanceof net.Socket, old.bytesRead, old.pending]).toEqual([true, 0, true])
  expect(net.Stream).toBe(net.Socket)
  expect(net.isIP('::1')).toBe(6)
})

describe('what keeps the process alive', () => {
  test.each([
    ['an unref’ed server', 'net.createServer().listen(0).unref()', ''],
    [
      'an unref’ed client',
      'net.createServer((s) => s.unref()).listen(0, function () { net.connect(this.address().port).unref(); this.unref() })',
      '',
    ],
    [
      'a paused client',
      'net.createServer((s) => s.unref()).listen(0, function () { net.connect(this.address().port).pause(); this.unref() })',
      '',
    ],
    [
      'sockets whose peer has ended',
      'net.createServer((s) => s.end("x")).listen(0, function () { net.connect(this.address().port).end("x"); this.unref() })',
      '',
    ],
    ['a server that has closed', 'net.createServer().listen(0, function () { this.close() })', ''],
  ])('not %s', async (_what, script) => {
    const result = await runChild(`import net from 'netvc/net'; ${script}`, { bare: true })
    expect(result).toMatchObject({ code: 0, stderr: '' })
  })

  test('a server and a reading socket do', async () => {
    const script = `
      import net from 'netvc/net'
      const server = net.createServer((s) => s.resume()).listen(0, () => {
        const c = net.connect(server.address().port, () => {
          server.close()
          setTimeout(() => { console.log('still here'); c.end() }, 60).unref()
        })
      })`
    expect(await runChild(script, { bare: true })).toMatchObject({
      code: 0,
      stdout: 'still here\n',
    })
  })
})
