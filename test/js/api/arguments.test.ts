import { inspect } from 'node:util'
import { MIOBuffer, NetvcArgumentError, NetvcError, Reactor, tunnel } from 'netvc'
import { describe, expect, test } from 'vitest'
import { useWorld } from '../support/fixture.js'

/** Values that are no options, functions, byte counts or strings. */
const junk: unknown[] = [null, 5, 'text', true, Symbol('s'), 10n]
const badNumbers: unknown[] = [-1, 1.5, NaN, -Infinity, 2 ** 53 + 2]
const notNumbers: unknown[] = ['1', null, {}, [], 1n, true, Symbol('n')]

const typeError = { code: 'ERR_INVALID_ARG_TYPE' }
const rangeError = { code: 'ERR_OUT_OF_RANGE' }
const valueError = { code: 'ERR_INVALID_ARG_VALUE' }
const addressError = { code: 'ERR_INVALID_ADDRESS' }

/** Calls, also one that answers a promise, and gives what it throws. */
async function thrown(call: () => unknown): Promise<unknown> {
  try {
    await call()
  } catch (error) {
    return error
  }
  return undefined
}

describe('wrong arguments are typed errors with a code', () => {
  const box = useWorld(0)

  async function refuses(
    call: (value: never) => unknown,
    values: unknown[],
    wanted: object,
  ): Promise<void> {
    for (const value of values) {
      const error = await thrown(() => call(value as never))
      expect(error, `for ${inspect(value)}`).toMatchObject(wanted)
      expect(error).toBeInstanceOf(NetvcArgumentError)
      expect(error).toBeInstanceOf(TypeError)
      expect(error).toBeInstanceOf(NetvcError) // of any copy of netvc
      expect((error as Error).message).toMatch(/\.$/)
    }
  }

  test('new Reactor', async () => {
    const make = (options: never) => new Reactor(options)
    await refuses(make, junk, typeError)
    await refuses((threads) => new Reactor({ threads }), notNumbers, typeError)
    await refuses((threads) => new Reactor({ threads }), [-1, 1.5, 257, NaN, Infinity], rangeError)
    await refuses(make, [{ thread: 1 }, { constructor: 1 }, { toString: 1 }], valueError)
  })

  test('options that cannot hold together', async () => {
    const { reactor } = box.world
    const pairs: object[] = [
      { transparent: true },
      { localPort: 4000, localPortRange: [4000, 5000] },
    ]
    for (const options of pairs) {
      const error = await thrown(() => reactor.connect('tcp://127.0.0.1:9', options))
      expect(error).toMatchObject({ code: 'ERR_INCOMPATIBLE_OPTION_PAIR' })
      expect(error).toBeInstanceOf(NetvcArgumentError)
    }
  })

  test('listen', async () => {
    const { reactor } = box.world
    const listen = reactor.listen.bind(reactor) as (...args: unknown[]) => Promise<unknown>
    const tcp = 'tcp://127.0.0.1:0'
    await refuses(
      (a) => listen(a, () => {}),
      [null, undefined, 5, {}, [], [5], [tcp, null]],
      typeError,
    )
    await refuses((f) => listen(tcp, f), junk, typeError)
    await refuses((f) => listen(tcp, f, {}), [...junk, {}], typeError)
    await refuses((distribute) => listen(tcp, { distribute }), ['random', () => 0], typeError)
    await refuses((backlog) => listen(tcp, { backlog }), notNumbers, typeError)
    await refuses((o) => listen(tcp, () => {}, o), junk, typeError)
    await refuses(
      (o) => listen(tcp, () => {}, o),
      [{ port: 1 }, { timeout: 1 }, { __proto__: null, valueOf: 1 }],
      valueError,
    )
    await refuses((backlog) => listen(tcp, () => {}, { backlog }), notNumbers, typeError)
    await refuses(
      (backlog) => listen(tcp, () => {}, { backlog }),
      [0, ...badNumbers, 2 ** 31],
      rangeError,
    )
    for (const name of [
      'reusePort',
      'ipv6Only',
      'noDelay',
      'keepAlive',
      'resetOnClose',
      'acceptOnEveryThread',
    ]) {
      await refuses(
        (value) => listen(tcp, () => {}, { [name]: value }),
        [0, 'yes', null],
        typeError,
      )
    }
    for (const [name, beyond] of Object.entries({
      acceptsPerWakeup: 4097,
      acceptThreads: 65,
      tos: 256,
      fd: 2 ** 31,
    })) {
      await refuses(
        (value) => listen(tcp, () => {}, { [name]: value }),
        [-1, beyond, 0.5],
        rangeError,
      )
    }
    await refuses((signal) => listen(tcp, () => {}, { signal }), [null, {}, 5], typeError)
    expect(reactor.stats().open).toBe(0)
  })

  test('connect', async () => {
    const { reactor } = box.world
    const connect = reactor.connect.bind(reactor) as (...args: unknown[]) => Promise<unknown>
    const tcp = 'tcp://127.0.0.1:1'
    await refuses((a) => connect(a), [undefined, null, 5, [], ['tcp://127.0.0.1:1']], typeError)
    await refuses((o) => connect(tcp, o), junk, typeError)
    await refuses(
      (o) => connect(tcp, o),
      [{ fd: 3 }, { backlog: 1 }, { hasOwnProperty: 1 }],
      valueError,
    )
    await refuses((timeout) => connect(tcp, { timeout }), notNumbers, typeError)
    await refuses((timeout) => connect(tcp, { timeout }), [...badNumbers, Infinity], rangeError)
    await refuses((localPort) => connect(tcp, { localPort }), [-1, 65536], rangeError)
    await refuses((localAddress) => connect(tcp, { localAddress }), [null, 5, ''], typeError)
    await refuses((signal) => connect(tcp, { signal }), [null, { aborted: true }], typeError)
    await refuses((congestionControl) => connect(tcp, { congestionControl }), ['', 1], typeError)
  })

  test('an inherited option is not an option', async () => {
    const { reactor } = box.world
    const options = Object.create({ fd: 0, timeout: 'x' }) as object
    expect(await thrown(() => reactor.connect('tcp://127.0.0.1:1', options))).toMatchObject({
      code: 'ECONNREFUSED',
    })
  })

  test('options that change while listen or connect waits are not used', async () => {
    const { reactor } = box.world
    const options: Record<string, unknown> = { timeout: 1000 }
    const pending = thrown(() => reactor.connect('tcp://localhost:1', options))
    options['fd'] = 0
    options['timeout'] = 'nonsense'
    expect(await pending).toMatchObject({ code: 'ECONNREFUSED' })
  })

  const addresses: [string, string][] = [
    ['empty', ''],
    ['no scheme', '127.0.0.1:80'],
    ['another scheme', 'http://127.0.0.1:80'],
    ['no port', 'tcp://127.0.0.1'],
    ['an empty port', 'tcp://127.0.0.1:'],
    ['a port too large', 'tcp://127.0.0.1:65536'],
    ['a port that is no number', 'tcp://127.0.0.1:http'],
    ['a negative port', 'tcp://127.0.0.1:-1'],
    ['no host', 'tcp://:80'],
    ['an IPv4 address out of range', 'tcp://256.0.0.1:80'],
    ['a short IPv4 address', 'tcp://127.1:80'],
    ['an IPv6 address without brackets', 'tcp://::1:80'],
    ['brackets around something else', 'tcp://[localhost]:80'],
    ['a path after the port', 'tcp://127.0.0.1:80/x'],
    ['no unix path', 'unix://'],
    ['no abstract name', 'unix://@'],
    ['a unix path of 108 bytes', `unix:///${'x'.repeat(107)}`],
    ['a zero byte', 'unix:///tmp/a\0b'],
  ]
  test.each(addresses)('an address with %s', async (_, address) => {
    const { reactor } = box.world
    await refuses((a) => reactor.connect(a), [address], addressError)
    await refuses((a) => reactor.listen(a, () => {}), [address], addressError)
    await refuses(
      (a) => reactor.listen(['tcp://127.0.0.1:0', a], () => {}),
      [address],
      addressError,
    )
  })

  test('adopt', async () => {
    const { reactor } = box.world
    await refuses((fd) => reactor.adopt(fd), [undefined, ...notNumbers], typeError)
    await refuses((fd) => reactor.adopt(fd), [-1, 0.5, NaN, Infinity, 2 ** 31, 2 ** 32], rangeError)
  })

  test('doIoRead, doIoWrite, write, doIoShutdown, doIoClose', async () => {
    const { world } = box
    const [vc] = await world.pair()
    const [buffer, reader] = world.pipe()
    const noop = () => {}
    await refuses(
      (h) => vc.doIoRead(h, 1, buffer),
      [5, 'f', {}, { handleEvent: 1 }, true],
      typeError,
    )
    await refuses((n) => vc.doIoRead(noop, n, buffer), [undefined, ...notNumbers], typeError)
    await refuses((n) => vc.doIoRead(noop, n, buffer), badNumbers, rangeError)
    await refuses(
      (b) => vc.doIoRead(noop, 1, b),
      [undefined, 5, {}, reader, Buffer.alloc(1)],
      typeError,
    )
    await refuses((n) => vc.doIoWrite(noop, n, reader), badNumbers, rangeError)
    await refuses((r) => vc.doIoWrite(noop, 1, r), [undefined, {}, buffer], typeError)
    await refuses(
      (d) => vc.write(d),
      [
        undefined,
        ...junk.filter((v) => v !== 'text'),
        {},
        [1],
        new ArrayBuffer(4),
        new Uint16Array(2),
        new DataView(new ArrayBuffer(4)),
      ],
      typeError,
    )
    await refuses(
      (how) => vc.doIoShutdown(how),
      [undefined, null, 'rd', 1, 'toString', '__proto__'],
      typeError,
    )
    await refuses((errno) => vc.doIoClose(errno), ['5', null, {}], typeError)
    await refuses((errno) => vc.doIoClose(errno), [-1, 0.5, NaN, 2 ** 31, 2 ** 32], rangeError)
    expect(vc.closed).toBe(false)
    const vio = vc.doIoRead(noop, 1, buffer)
    await refuses((n) => (vio.nbytes = n), badNumbers, rangeError)
    await refuses((n) => (vio.nbytes = n), notNumbers, typeError)
    await refuses((h) => vio.setContinuation(h), [5, {}, 'f'], typeError)
    expect(vio.nbytes).toBe(1)
  })

  test('new MIOBuffer and its methods', async () => {
    const [buffer, reader] = box.world.pipe()
    const make = (options: never) => new MIOBuffer(options)
    await refuses(make, junk, typeError)
    await refuses(make, [{ size: 1 }], valueError)
    await refuses(
      make,
      [{ blockSize: 127 }, { blockSize: 2 ** 21 + 1 }, { waterMark: -1 }, { waterMark: Infinity }],
      rangeError,
    )
    await refuses(
      (d) => buffer.write(d),
      [undefined, null, 5, {}, [1], new ArrayBuffer(2)],
      typeError,
    )
    await refuses((r) => buffer.writeFrom(r), [undefined, null, {}, buffer], typeError)
    await refuses((n) => buffer.writeFrom(reader, n), badNumbers, rangeError)
    await refuses((n) => buffer.writeFrom(reader, 1, n), badNumbers, rangeError)
    await refuses((n) => (buffer.waterMark = n), badNumbers, rangeError)
    await refuses((n) => reader.read(n), badNumbers, rangeError)
    await refuses((n) => reader.read(n), notNumbers, typeError)
    await refuses((n) => reader.consume(n), [...badNumbers, 1, Infinity], rangeError)
    await refuses((t) => reader.peek(t), [undefined, null, 'x', [], new ArrayBuffer(1)], typeError)
    await refuses((n) => reader.peek(Buffer.alloc(1), n), badNumbers, rangeError)
    await refuses((b) => reader.indexOf(b), [-1, 256, 1.5, 'a', undefined], rangeError)
    await refuses((n) => reader.indexOf(1, n), badNumbers, rangeError)
    await refuses((n) => (reader.sizeLimit = n), badNumbers, rangeError)
  })

  test('tunnel', async () => {
    const { world } = box
    const [a, b] = await world.pair()
    const elsewhere = world.another()
    const listener = await elsewhere.listen('tcp://127.0.0.1:0', () => {})
    const foreign = await elsewhere.connect(listener.addresses[0])
    await refuses((v) => tunnel(v, b), [undefined, ...junk, {}], typeError)
    await refuses((v) => tunnel(a, v), [undefined, ...junk, {}, a, foreign], typeError)
    await refuses((o) => tunnel(a, b, o), junk, typeError)
    await refuses((o) => tunnel(a, b, o), [{ buffer: 1 }], valueError)
    await refuses((o) => tunnel(a, b, o), [{ blockSize: 1 }, { waterMark: -1 }], rangeError)
    expect([a.closed, b.closed]).toEqual([false, false])
  })
})
