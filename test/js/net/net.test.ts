import { once } from 'node:events'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs'
import nodeNet from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import net from 'netvc/net'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { openDescriptors } from '../support/descriptors.js'
import { eventually } from '../support/fixture.js'

// netvc/net, as Node's documentation describes net. Each test leaves nothing open behind it.

const open = new Set<{ destroy(): unknown } | net.Server>()
let before: number
beforeAll(async () => {
  // The engine of this thread has descriptors of its own.
  const server = net.createServer().listen(0)
  await new Promise((resolve) => server.close(resolve))
})
beforeEach(() => {
  before = openDescriptors().length
})
afterEach(async () => {
  for (const one of open) if ('destroy' in one) one.destroy()
  for (const one of open) {
    if ('listening' in one && one.listening) await new Promise((resolve) => one.close(resolve))
  }
  open.clear()
  await eventually(() => openDescriptors().length <= before, 'descriptors closed')
})

const keep = <T extends net.Socket | net.Server>(one: T): T => {
  open.add(one)
  return one
}
type Handler = (socket: net.Socket) => void
async function serve(options: net.ServerOpts, handler: Handler): Promise<[net.Server, number]> {
  const server = keep(net.createServer(options, (socket) => handler(keep(socket))))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return [server, (server.address() as net.AddressInfo).port]
}
const dial = (
  port: number,
  options: Partial<net.NetConnectOpts> & { blockList?: net.BlockList } = {},
) => keep(net.connect({ port, host: '127.0.0.1', ...options } as net.NetConnectOpts))
const closed = (socket: net.Socket) =>
  new Promise<boolean>((resolve) => socket.once('close', resolve))

describe('the order of events', () => {
  test('of a client', async () => {
    const [, port] = await serve({}, (socket) => socket.end('hi'))
    const seen: string[] = []
    const socket = net.connect({ port, host: 'localhost', family: 4 }, () => seen.push('told'))
    keep(socket)
    expect([socket.connecting, socket.pending, socket.readyState]).toEqual([true, true, 'opening'])
    for (const name of ['lookup', 'connect', 'ready', 'data', 'end', 'finish', 'close'])
      socket.on(name, () => seen.push(name))
    await closed(socket)
    expect(seen).toEqual(['lookup', 'told', 'connect', 'ready', 'data', 'end', 'finish', 'close'])
  })

  test('of a server', async () => {
    const seen: string[] = []
    const server = keep(net.createServer())
    for (const name of ['listening', 'connection', 'close']) server.on(name, () => seen.push(name))
    server.listen(0)
    expect(seen).toEqual([])
    expect(server.listening).toBe(true)
    const { port, family } = server.address() as net.AddressInfo
    expect([port > 0, family]).toEqual([true, 'IPv6'])
    const socket = dial(port)
    const [accepted] = (await once(server, 'connection')) as [net.Socket]
    server.close()
    expect(server.listening).toBe(false)
    expect(server.address()).toBeNull()
    accepted.resume()
    socket.end()
    await once(server, 'close')
    expect(seen).toEqual(['listening', 'connection', 'close'])
  })

  test('what is written before the connection leaves first', async () => {
    let text = ''
    const [, port] = await serve({}, (s) => s.on('data', (d) => (text += String(d))))
    const socket = dial(port)
    socket.write('one ')
    socket.write('two ')
    expect(socket.bytesWritten).toBe(8)
    socket.on('connect', () => socket.end('three'))
    await closed(socket)
    expect(text).toBe('one two three')
  })
})

describe('listening', () => {
  test('an address that is taken is an error, as of net', async () => {
    const [, port] = await serve({}, () => undefined)
    const failure = async (api: typeof nodeNet) => {
      const [error] = (await once(api.createServer().listen(port, '127.0.0.1'), 'error')) as [Error]
      return Object.assign({}, error, { message: error.message })
    }
    expect(await failure(net as typeof nodeNet)).toEqual(await failure(nodeNet))
  })

  test('twice, and closing what does not run', async () => {
    const [server] = await serve({}, () => undefined)
    expect(() => server.listen(0)).toThrow(
      expect.objectContaining({ code: 'ERR_SERVER_ALREADY_LISTEN' }),
    )
    await new Promise((resolve) => server.close(resolve))
    const error = await new Promise((resolve) => server.close(resolve))
    expect(error).toMatchObject({ code: 'ERR_SERVER_NOT_RUNNING' })
  })

  test.each([[{ port: -1 }], [{ port: 70000 }], [{}], [{ port: true }], [-1, '127.0.0.1']])(
    'wrong arguments are refused as by net: %j',
    (...args) => {
      const failure = (api: typeof nodeNet) => {
        try {
          api
            .createServer()
            .listen(...(args as unknown as []))
            .close()
        } catch (error) {
          return { code: (error as { code: string }).code, message: (error as Error).message }
        }
        return undefined
      }
      expect(failure(net as typeof nodeNet)).toEqual(failure(nodeNet))
    },
  )

  test('a signal closes the server', async () => {
    const controller = new AbortController()
    const server = keep(net.createServer())
    server.listen({ port: 0, signal: controller.signal })
    await once(server, 'listening')
    controller.abort()
    await once(server, 'close')
    expect(server.listening).toBe(false)
  })

  test('on an open descriptor', async () => {
    const script = `
      import net from 'netvc/net'
      const server = net.createServer((s) => { s.end('by fd'); server.close() })
      server.listen({ fd: 3 }, () => console.log(server.address().port))`
    const listening = nodeNet.createServer().listen(0, '127.0.0.1')
    await once(listening, 'listening')
    const { port } = listening.address() as net.AddressInfo
    const handle = (listening as unknown as { _handle: { fd: number } })._handle
    const child = runChild(script, { bare: true, descriptors: [handle.fd] })
    const socket = nodeNet.connect(port, '127.0.0.1')
    listening.close()
    const [data] = (await once(socket, 'data')) as [Buffer]
    expect(String(data)).toBe('by fd')
    socket.destroy()
    expect(await child).toMatchObject({ code: 0, stdout: `${String(port)}\n` })
  })
})

describe('unix sockets', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'netvc-net-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  test('echo, address and rights', async () => {
    const file = path.join(folder, 's')
    const server = keep(net.createServer((s) => keep(s).pipe(s)))
    server.listen({ path: file, readableAll: true, writableAll: true })
    await once(server, 'listening')
    expect(server.address()).toBe(file)
    expect(statSync(file).mode & 0o666).toBe(0o666)
    const socket = keep(net.connect(file))
    socket.end('through a file')
    const [data] = (await once(socket, 'data')) as [Buffer]
    expect(String(data)).toBe('through a file')
    expect([socket.remoteAddress, socket.address()]).toEqual([undefined, {}])
    await closed(socket)
  })

  test('a path that is taken', async () => {
    const file = path.join(folder, 't')
    const server = keep(net.createServer().listen(file))
    await once(server, 'listening')
    const failure = async (api: typeof nodeNet) => {
      const [error] = (await once(api.createServer().listen(file), 'error')) as [Error]
      return Object.assign({}, error, { message: error.message })
    }
    expect(await failure(net as typeof nodeNet)).toEqual(await failure(nodeNet))
  })

  test('nobody there', async () => {
    const failure = async (api: typeof nodeNet) => {
      const [error] = (await once(api.connect(path.join(folder, 'no')), 'error')) as [Error]
      return Object.assign({}, error, { message: error.message })
    }
    expect(await failure(net as typeof nodeNet)).toEqual(await failure(nodeNet))
  })
})

describe('connecting', () => {
  test('nobody there: the error is that of net', async () => {
    const [server, port] = await serve({}, () => undefined)
    await new Promise((resolve) => server.close(resolve))
    const failure = async (api: typeof nodeNet) => {
      const [error] = (await once(api.connect(port, '127.0.0.1'), 'error')) as [Error]
      return Object.assign({}, error, { message: error.message })
    }
    expect(await failure(net as typeof nodeNet)).toEqual(await failure(nodeNet))
  })

  test.each([
    [{}],
    [{ port: 70000 }],
    [{ port: 'x y' }],
    [{ port: true }],
    [{ path: 5 }],
    [{ port: 1, localAddress: 'nowhere' }],
    [{ port: 1, localPort: '5' }],
    [{ port: 1, lookup: 1 }],
    [{ port: 1, objectMode: true }],
  ])('wrong options are refused as by net: %j', (options) => {
    const failure = (api: typeof nodeNet) => {
      try {
        api.connect(options as never).destroy()
      } catch (error) {
        const { code, message, name } = error as Error & { code: string }
        return { code, message, name }
      }
      return undefined
    }
    expect(failure(net as typeof nodeNet)).toEqual(failure(nodeNet))
  })

  test('several addresses are tried until one answers', async () => {
    const [, port] = await serve({}, (s) => s.end())
    const socket = dial(port, {
      host: 'somewhere.invalid',
      autoSelectFamily: true,
      lookup: (_host, _options, told) =>
        told(null, [
          { address: '::1', family: 6 },
          { address: '127.0.0.1', family: 4 },
        ]),
    })
    const failed: unknown[] = []
    socket.on('connectionAttemptFailed', (...args) => failed.push(args.slice(0, 3)))
    await once(socket, 'connect')
    expect(failed).toEqual([['::1', port, 6]])
    expect(socket.autoSelectFamilyAttemptedAddresses).toEqual([
      `::1:${String(port)}`,
      `127.0.0.1:${String(port)}`,
    ])
    expect([socket.remoteAddress, socket.remoteFamily]).toEqual(['127.0.0.1', 'IPv4'])
  })

  test('a signal, localAddress and localPort', async () => {
    const [, port] = await serve({}, (s) => s.resume())
    const controller = new AbortController()
    const socket = dial(port, { localAddress: '127.0.0.2', signal: controller.signal })
    await once(socket, 'connect')
    expect(socket.localAddress).toBe('127.0.0.2')
    const failed = once(socket, 'error')
    controller.abort()
    const [error] = (await failed) as [Error]
    expect(error.name).toBe('AbortError')
  })

  test('a BlockList', async () => {
    const [, port] = await serve({}, (s) => s.resume())
    const blockList = new net.BlockList()
    blockList.addAddress('127.0.0.1')
    const [error] = (await once(dial(port, { blockList }), 'error')) as [Error]
    expect(error).toMatchObject({ code: 'ERR_IP_BLOCKED' })
  })

  test('a socket that is connected does not connect', async () => {
    const [, port] = await serve({}, (s) => s.resume())
    const socket = dial(port)
    await once(socket, 'connect')
    const failed = once(socket, 'error')
    socket.connect(port, '127.0.0.1')
    expect((await failed)[0]).toMatchObject({ code: 'EISCONN', syscall: 'connect', port })
  })

  test('once more with the same socket', async () => {
    let served = 0
    const [, port] = await serve({}, (s) => {
      served++
      s.end('x')
    })
    const socket = keep(new net.Socket())
    for (let i = 1; i <= 3; i++) {
      socket.connect(port, '127.0.0.1')
      socket.resume()
      await closed(socket)
      expect(served).toBe(i)
    }
  })

  test('destroyed before it is there: the write hears of it', async () => {
    const [, port] = await serve({}, (s) => s.resume())
    const socket = dial(port)
    const written = new Promise((resolve) => socket.write('never', resolve))
    socket.destroy()
    expect(await written).toMatchObject({ code: 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION' })
    expect(await closed(socket)).toBe(false)
  })
})

describe('sockets', () => {
  test('half-open', async () => {
    const [, port] = await serve({ allowHalfOpen: true }, (s) => {
      s.resume()
      s.on('end', () => s.end('after the end'))
    })
    const socket = dial(port)
    socket.end()
    const [data] = (await once(socket, 'data')) as [Buffer]
    expect(String(data)).toBe('after the end')
    await closed(socket)
  })

  test('pauseOnConnect: nothing is read before resume()', async () => {
    let accepted!: (socket: net.Socket) => void
    const there = new Promise<net.Socket>((resolve) => (accepted = resolve))
    const [, port] = await serve({ pauseOnConnect: true }, accepted)
    dial(port).write('waiting')
    const socket = await there
    const timer = once(dial(port), 'connect') // the loop has turned, and bytes were there
    await timer
    expect(socket.bytesRead).toBe(0)
    socket.resume()
    const [data] = (await once(socket, 'data')) as [Buffer]
    expect(String(data)).toBe('waiting')
  })

  test('onread: into one buffer, until false, and on with resume()', async () => {
    const [, port] = await serve({}, (s) => s.end('abcdefghij'))
    const buffer = Buffer.alloc(4)
    let text = ''
    const socket = dial(port, {
      onread: {
        buffer,
        callback(n, into) {
          expect(into).toBe(buffer)
          text += String(buffer.subarray(0, n))
          if (n === 2) return true
          setImmediate(() => socket.resume())
          return false
        },
      },
    })
    socket.on('data', () => expect.fail('data goes to the callback'))
    await once(socket, 'end')
    expect(text).toBe('abcdefghij')
    expect(socket.bytesRead).toBe(10)
  })

  test('maxConnections: one too many is dropped', async () => {
    const [server, port] = await serve({}, (s) => s.write('in'))
    server.maxConnections = 1
    await once(dial(port), 'data')
    const dropped = once(server, 'drop')
    const late = dial(port)
    late.resume()
    const [data] = (await dropped) as [net.DropArgument]
    expect(data).toMatchObject({ localPort: port, localAddress: '127.0.0.1', remoteFamily: 'IPv4' })
    await closed(late)
    const count = await new Promise((resolve) => server.getConnections((_, n) => resolve(n)))
    expect(count).toBe(1)
  })

  test('resetAndDestroy() resets', async () => {
    let accepted!: (socket: net.Socket) => void
    const there = new Promise<net.Socket>((resolve) => (accepted = resolve))
    const [, port] = await serve({}, accepted)
    const socket = dial(port)
    await once(socket, 'connect')
    const server = await there
    const failed = once(server, 'error')
    socket.resetAndDestroy()
    expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET', syscall: 'read', errno: -104 })
  })

  test('a slow reader holds the writer back', async () => {
    let writer!: net.Socket
    const [, port] = await serve({}, (s) => (writer = s))
    const socket = dial(port)
    await eventually(() => writer !== undefined, 'accepted')
    let written = 0
    while (writer.write(Buffer.alloc(65536))) written += 65536
    expect(written).toBeLessThan(50_000_000)
    socket.resume()
    await once(writer, 'drain')
  })

  test('idle timeouts, also of one that does not get connected', async () => {
    const [, port] = await serve({}, (s) => s.resume())
    const socket = dial(port, { timeout: 10 })
    expect(socket.timeout).toBe(10)
    await once(socket, 'timeout')
    expect(socket.destroyed).toBe(false)
  })

  test('fd: a socket that is open already', async () => {
    const script = `
      import net from 'netvc/net'
      const socket = new net.Socket({ fd: 3 })
      socket.write('hello from below')
      socket.on('data', (d) => { console.log(String(d)); socket.end() })`
    const [, port] = await serve({}, (s) => s.once('data', (d) => s.end(d)))
    const outer = nodeNet.connect(port, '127.0.0.1').pause() // the child reads
    await once(outer, 'connect')
    const { fd } = (outer as unknown as { _handle: { fd: number } })._handle
    const result = await runChild(script, { bare: true, descriptors: [fd] })
    expect(result).toMatchObject({ code: 0, stdout: 'hello from below\n' })
    outer.destroy()
    const file = path.join(tmpdir(), `netvc-fd-${String(process.pid)}`)
    writeFileSync(file, '')
    const plain = openSync(file, 'r')
    expect(() => new net.Socket({ fd: plain })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_FD_TYPE' }),
    )
    closeSync(plain)
    rmSync(file)
  })

  test('diagnostics_channel hears of both ends', async () => {
    const seen: unknown[] = []
    const listen = (message: unknown, name: string | symbol) =>
      seen.push(name, (message as { socket: unknown }).socket instanceof net.Socket)
    const names = ['net.client.socket', 'net.server.socket']
    for (const name of names) subscribe(name, listen)
    const [, port] = await serve({}, (s) => s.end())
    await closed(dial(port).resume())
    for (const name of names) unsubscribe(name, listen)
    expect(seen).toEqual(['net.client.socket', true, 'net.server.socket', true])
  })
})
