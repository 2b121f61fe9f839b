import { closeSync, existsSync, mkdirSync, openSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import type { Listener, VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'
import {
  abstractAddress,
  temporaryDirectory,
  sockets,
  unixAddress,
  unixPath,
} from '../support/addresses.js'
import { endsWell, runChild, startChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'
import { openDescriptors } from '../support/descriptors.js'
import { eventually, turn, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

describe('Reactor.listen', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('several addresses: one listener, real ports, in the order given', async () => {
      const { world } = box
      const list = Object.values(sockets).map((address) => address())
      const accepted: VConnection[] = []
      const listener = await world.reactor.listen(list, (vc) => void accepted.push(vc))
      expect(listener.addresses.length).toBe(list.length)
      expect(listener.addresses[0]).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/)
      expect(listener.addresses[1]).toMatch(/^tcp:\/\/\[::1\]:[1-9]\d*$/)
      expect(listener.addresses.slice(2)).toEqual(list.slice(2))
      expect(listener.listening).toBe(true)
      for (const address of listener.addresses) await world.reactor.connect(address)
      await eventually(() => accepted.length === list.length, 'all accepted')
      await listener.close()
      expect(listener.listening).toBe(false)
      expect(listener.error).toBeUndefined()
    })

    test('EADDRINUSE, and nothing of the other addresses stays open', async () => {
      const { world } = box
      const taken = await world.reactor.listen('tcp://127.0.0.1:0', () => {})
      const before = openDescriptors().length
      const free = abstractAddress()
      const error: unknown = await world.reactor
        .listen([free, taken.addresses[0]], () => {})
        .catch((e: unknown) => e)
      expect(error).toMatchObject({
        code: 'EADDRINUSE',
        syscall: 'listen',
        address: taken.addresses[0],
      })
      expect((error as Error).message).toContain(taken.addresses[0])
      expect(openDescriptors().length).toBe(before)
      await (await world.reactor.listen(free, () => {})).close()
    })

    test.each([
      ['EADDRNOTAVAIL', () => 'tcp://192.0.2.1:0'],
      ['ENOENT', () => `unix://${path.join(temporaryDirectory(), 'missing', 'socket')}`],
      ['EADDRINUSE', () => `unix://${temporaryDirectory()}`],
    ])('%s', async (code, address) => {
      const url = address()
      await expect(box.world.reactor.listen(url, () => {})).rejects.toMatchObject({
        code,
        syscall: 'listen',
        address: url,
      })
    })

    test('a unix path: the file is there while listening, and removed by close()', async () => {
      const file = unixPath()
      const listener = await box.world.reactor.listen(`unix://${file}`, () => {})
      expect(statSync(file).isSocket()).toBe(true)
      await listener.close()
      expect(existsSync(file)).toBe(false)
    })

    test('a stale socket file is replaced, a live one is not (B-50)', async () => {
      const { world } = box
      const file = unixPath()
      // A process that dies leaves its socket file.
      const { code } = await runChild(
        `import { createServer } from 'node:net'
         createServer().listen(${JSON.stringify(file)}, () => process.kill(process.pid, 'SIGKILL'))`,
        { bare: true },
      )
      expect(code).toBeNull()
      expect(existsSync(file)).toBe(true)
      const listener = await world.reactor.listen(`unix://${file}`, () => {})
      await expect(world.another().listen(`unix://${file}`, () => {})).rejects.toMatchObject({
        code: 'EADDRINUSE',
      })
      expect(listener.listening).toBe(true)
      await world.reactor.connect(`unix://${file}`)
    })

    test('a regular file at the path is never touched (B-50)', async () => {
      const file = unixPath()
      writeFileSync(file, 'mine')
      await expect(box.world.reactor.listen(`unix://${file}`, () => {})).rejects.toMatchObject({
        code: 'EADDRINUSE',
      })
      expect(statSync(file).size).toBe(4)
    })

    test('an adopted descriptor is used and then closed (AC-2)', async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as { port: number }
      const script = `
        import { existsSync } from 'node:fs'
        const reactor = new Reactor({ threads })
        const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => { vc.write('hi'); vc.doIoClose() }, { fd: 3 })
        console.log(...listener.addresses)
        const vc = await reactor.connect(listener.addresses[0])
        await new Promise((resolve) => sink(vc, (event) => event === VCEvent.EOS && resolve()))
        await reactor.close()
        console.log(existsSync('/proc/self/fd/3'))`
      const { fd } = (server as unknown as { _handle: { fd: number } })._handle
      const { result } = startChild(script, { threads, descriptors: [fd] })
      server.close() // the child has it now, and nobody else
      expect(await result).toMatchObject({
        ...endsWell,
        stdout: `tcp://127.0.0.1:${String(port)}\nfalse\n`,
      })
    })

    test('a descriptor has one owner: several addresses, and giving it again, are refused', async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const script = `
        import { existsSync } from 'node:fs'
        const reactor = new Reactor({ threads })
        const code = (promise) => promise.then(() => 'ok', (error) => error.code)
        const tcp = 'tcp://127.0.0.1:0'
        console.log(await code(reactor.listen([tcp, tcp], () => {}, { fd: 3 })))
        console.log(await code(reactor.listen(tcp, () => {}, { fd: 3, reusePort: true })))
        console.log(await code(reactor.listen(tcp, () => {}, { fd: 3, ipv6Only: false })))
        console.log(await code(reactor.adopt(3)), existsSync('/proc/self/fd/3'))
        const listener = await reactor.listen(tcp, () => {}, { fd: 3, receiveBufferSize: 20_000 })
        console.log(await code(reactor.listen(tcp, () => {}, { fd: 3 })))
        console.log(await code(new Reactor({ threads: 1 }).listen(tcp, () => {}, { fd: 3 })))
        console.log(await code(reactor.adopt(3)), existsSync('/proc/self/fd/3'))
        await listener.close()
        console.log(existsSync('/proc/self/fd/3'))
        process.exit()`
      const { fd } = (server as unknown as { _handle: { fd: number } })._handle
      const { result } = startChild(script, { threads, descriptors: [fd] })
      server.close()
      const { stdout } = await result
      expect(stdout.trim().split('\n')).toEqual([
        'ERR_INCOMPATIBLE_OPTION_PAIR',
        'ERR_INCOMPATIBLE_OPTION_PAIR',
        'ERR_INCOMPATIBLE_OPTION_PAIR',
        'EINVAL true',
        'ERR_DESCRIPTOR_IN_USE',
        'ERR_DESCRIPTOR_IN_USE',
        'ERR_DESCRIPTOR_IN_USE true',
        'false',
      ])
    })

    test('a descriptor that is no listening socket stays open, and the caller’s', async () => {
      const { reactor } = box.world
      const file = path.join(temporaryDirectory(), 'plain')
      const fd = openSync(file, 'w')
      await expect(reactor.listen('tcp://127.0.0.1:0', () => {}, { fd })).rejects.toMatchObject({
        code: 'ENOTSOCK',
      })
      closeSync(fd)
      await expect(
        reactor.listen('tcp://127.0.0.1:0', () => {}, { fd: 9999 }),
      ).rejects.toMatchObject({ syscall: 'listen' })
    })

    test.each([
      [2, 3], // Linux lets one more wait than it was told
      [5, 6],
      [undefined, 10],
    ])('backlog %s: so many wait to be accepted, the rest is not connected', async (backlog, n) => {
      const { world } = box
      let accepted = 0
      const listener = await world.reactor.listen(unixAddress(), () => accepted++, { backlog })
      listener.pause()
      const results: string[] = []
      for (let i = 0; i < 10; i++) {
        const [result] = await Promise.allSettled([world.reactor.connect(listener.addresses[0])])
        results.push(
          result.status === 'fulfilled' ? 'waits' : (result.reason as { code: string }).code,
        )
      }
      expect(results).toEqual(Array.from({ length: 10 }, (_, i) => (i < n ? 'waits' : 'EAGAIN')))
      expect(accepted).toBe(0)
      listener.resume()
      await eventually(() => accepted === n, 'all that waited are accepted')
    })

    test('reusePort: two listeners share a port; without it they do not', async () => {
      const { world } = box
      const first = await world.reactor.listen('tcp://127.0.0.1:0', () => {}, { reusePort: true })
      const second = await world.reactor.listen(first.addresses[0], () => {}, { reusePort: true })
      expect(second.addresses).toEqual(first.addresses)
      await expect(world.reactor.listen(first.addresses[0], () => {})).rejects.toMatchObject({
        code: 'EADDRINUSE',
      })
    })

    test.each([
      { acceptOnEveryThread: true },
      { acceptThreads: 2 },
      { acceptsPerWakeup: 1 },
      { deferAcceptSeconds: 1 },
      { fastOpenQueue: 5 },
      { receiveBufferSize: 8192, sendBufferSize: 8192, keepAlive: true, noDelay: false, tos: 16 },
    ])('option %o: connections come, and the listener ends', async (options) => {
      const { world } = box
      const accepted: VConnection[] = []
      const listener = await world.reactor.listen(
        'tcp://127.0.0.1:0',
        (vc) => void accepted.push(vc),
        options,
      )
      const clients = await Promise.all(
        Array.from({ length: 20 }, () => world.reactor.connect(listener.addresses[0])),
      )
      for (const vc of clients) vc.write(pattern(1))
      await eventually(() => accepted.length === 20, 'all accepted')
      await listener.close()
      await expect(world.reactor.connect(listener.addresses[0])).rejects.toMatchObject({
        code: 'ECONNREFUSED',
      })
    })

    test('close() in the accept handler: it is not called again, the port is free (AC-7)', async () => {
      const { world } = box
      let calls = 0
      let closing: Promise<void> | undefined
      const listener: Listener = await world.reactor.listen('tcp://127.0.0.1:0', () => {
        calls++
        closing = listener.close()
      })
      const address = listener.addresses[0]
      await Promise.allSettled(Array.from({ length: 10 }, () => world.reactor.connect(address)))
      await eventually(() => closing !== undefined, 'the first one')
      await closing
      expect(calls).toBe(1)
      await (await world.reactor.listen(address, () => {})).close()
    })

    test('close() under a stream of connections neither crashes nor calls late (AC-5, B-20)', async () => {
      const { world } = box
      for (let round = 0; round < 10; round++) {
        let closed = false
        let late = 0
        const listener = await world.reactor.listen(abstractAddress(), (vc) => {
          if (closed) late++
          vc.doIoClose()
        })
        const connects = Array.from({ length: 40 }, () =>
          world.reactor.connect(listener.addresses[0]),
        )
        if (round % 2) await turn()
        const done = listener.close()
        closed = true
        await Promise.allSettled(connects)
        await done
        expect(late).toBe(0)
      }
    })

    test('close() twice is the same promise; await using closes', async () => {
      const listener = await box.world.reactor.listen('tcp://127.0.0.1:0', () => {})
      expect(listener.close()).toBe(listener.close())
      await listener[Symbol.asyncDispose]()
      expect(listener.listening).toBe(false)
    })

    test('signal: aborted before is ABORT_ERR, later it has no effect', async () => {
      const { world } = box
      const reason = new Error('no')
      await expect(
        world.reactor.listen('tcp://127.0.0.1:0', () => {}, { signal: AbortSignal.abort(reason) }),
      ).rejects.toMatchObject({ code: 'ABORT_ERR', name: 'AbortError', cause: reason })
      const controller = new AbortController()
      const pending = world.reactor.listen('tcp://127.0.0.1:0', () => {}, {
        signal: controller.signal,
      })
      controller.abort()
      await expect(pending).rejects.toMatchObject({ code: 'ABORT_ERR' })
      const later = new AbortController()
      const listener = await world.reactor.listen('tcp://127.0.0.1:0', () => {}, {
        signal: later.signal,
      })
      later.abort()
      expect(listener.listening).toBe(true)
    })

    test('EACCES in a directory that is not ours', async () => {
      const directory = path.join(temporaryDirectory(), `closed-${String(threads)}`)
      mkdirSync(directory, { mode: 0o500 })
      const { stdout, stderr } = await runChild(
        `const reactor = new Reactor({ threads })
         if (process.getuid() === 0) process.setuid(65534)
         await reactor.listen('unix://${directory}/socket', () => {}).catch((e) => console.log(e.code))
         await reactor.close()`,
        { threads },
      )
      expect(stdout.trim(), stderr).toBe('EACCES')
    })
  })
})
