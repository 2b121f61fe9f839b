import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type nodeNet from 'node:net'
import { describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { eventually } from '../support/fixture.js'
import { asNode, codeOf, connected, keep, modules, peer, turns, type Net } from './control.js'

// Sockets and servers at their end, and when they are used again: when and what is told, in which
// phase of the loop.

type Log = string[]

const watch = (log: Log, socket: nodeNet.Socket) => {
  for (const name of ['connect', 'finish', 'end', 'error', 'close']) {
    socket.on(name, (...args: unknown[]) => {
      log.push([name, ...args.map((arg) => (arg instanceof Error ? codeOf(arg) : arg))].join(' '))
    })
  }
  return keep(socket)
}

describe("'close' of a socket comes in the phase of the loop in which Node tells it", () => {
  const acts: Record<string, (net: Net, port: number, log: Log) => unknown> = {
    'never connected': (net, _, log) => watch(log, new net.Socket()).destroy(),
    'never connected, with an error': (net, _, log) =>
      watch(log, new net.Socket()).destroy(new Error('mine')),
    'never connected, an aborted signal': (net, _, log) =>
      watch(log, new net.Socket({ signal: AbortSignal.abort() })),
    'never connected, resetAndDestroy()': (net, _, log) =>
      watch(log, new net.Socket()).resetAndDestroy(),
    'never connected, written to': (net, _, log) =>
      watch(log, new net.Socket()).write('x', (error) => log.push(`told ${codeOf(error)}`)),
    'while it connects': (net, port, log) =>
      watch(log, new net.Socket()).connect(port, '127.0.0.1').destroy(),
    'while a name is looked up': (net, port, log) =>
      watch(log, new net.Socket()).connect(port, 'localhost').destroy(new Error('mine')),
    'destroyed, and connects again at once': (net, port, log) => {
      const socket = watch(log, new net.Socket())
      socket.destroy()
      socket.connect(port, '127.0.0.1')
    },
  }
  const marks = (log: Log) => {
    process.nextTick(() => process.nextTick(() => log.push('- ticks')))
    setImmediate(() => log.push('- immediates'))
  }
  const phases: Record<string, (act: () => void) => unknown> = {
    timers: (act) => setTimeout(act, 0),
    check: setImmediate,
  }
  for (const [phase, inPhase] of Object.entries(phases)) {
    test.each(Object.keys(acts))(`${phase}: %s`, (name) =>
      asNode(async (net) => {
        const [port] = await peer()
        const log: Log = []
        await new Promise<void>((resolve) => {
          inPhase(() => {
            acts[name](net, port, log)
            marks(log)
            resolve()
          })
        })
        await eventually(() => log.some((line) => /^(close|connect)/.test(line)), 'the end')
        await turns()
        // When the peer answers is the system's.
        return log.filter((line) => line !== 'connect')
      }),
    )
    test(`${phase}: connected`, () =>
      asNode(async (net) => {
        const [port] = await peer()
        const log: Log = []
        const socket = watch(log, await connected(net, port))
        await new Promise<void>((resolve) => {
          inPhase(() => {
            socket.destroy()
            marks(log)
            resolve()
          })
        })
        await once(socket, 'close')
        await turns()
        return log
      }))
  }

  test('a socket that connects again does not hear the end of the time before', () =>
    asNode(async (net) => {
      const [port] = await peer()
      const socket = keep(new net.Socket())
      setTimeout(() => socket.destroy(), 5)
      await new Promise((resolve) => setTimeout(resolve, 5))
      let closed = false
      socket.once('close', () => (closed = true))
      socket.connect(port, '127.0.0.1')
      await once(socket, 'connect')
      await turns()
      return [closed, socket.destroyed, socket.readyState]
    }))

  test('end() before connect() waits for it', () =>
    asNode(async (net) => {
      const [port] = await peer((socket) => socket.resume())
      const log: Log = []
      const socket = watch(log, new net.Socket())
      socket.end()
      await turns()
      log.push('connects')
      socket.resume().connect(port, '127.0.0.1')
      await once(socket, 'close')
      return log.filter((line) => line !== 'end') // when the peer's end comes is the system's
    }))
})

describe('servers that listen again', () => {
  const serve = (net: Net, log: Log) => {
    const server = keep(net.createServer())
    for (const name of ['listening', 'close']) server.on(name, () => log.push(name))
    return server
  }
  const told = (log: Log, name: string) => (error?: Error) => log.push(`${name} ${codeOf(error)}`)

  test.each([0, 'the same'])('close() and listen() at once, port %s', (wanted) =>
    asNode(async (net) => {
      const log: Log = []
      const server = serve(net, log).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as nodeNet.AddressInfo
      server.close(told(log, 'first'))
      server.listen(wanted === 0 ? 0 : port, '127.0.0.1', () => log.push('again'))
      await once(server, 'listening')
      await turns()
      server.close(told(log, 'second'))
      await once(server, 'close')
      return log
    }),
  )

  test('close() of one that does not listen, twice, and listen()', () =>
    asNode(async (net) => {
      const log: Log = []
      const server = serve(net, log)
      server.close(told(log, 'first'))
      server.close(told(log, 'second'))
      server.listen(0)
      await once(server, 'listening')
      await turns()
      server.close(told(log, 'third'))
      await once(server, 'close')
      return log
    }))

  test('close() waits for connections; the next time too', () =>
    asNode(async (net) => {
      const log: Log = []
      const server = serve(net, log)
      for (const round of [1, 2]) {
        server.listen(0, '127.0.0.1')
        await once(server, 'listening')
        const accepted = once(server, 'connection')
        const socket = await connected(net, (server.address() as nodeNet.AddressInfo).port)
        await accepted
        server.close(told(log, `close ${String(round)}`))
        await turns()
        log.push('the client leaves')
        const [[server_]] = await Promise.all([accepted, once(socket.end(), 'finish')])
        ;(server_ as nodeNet.Socket).resume()
        await once(server, 'close')
      }
      return log
    }))
})

describe('options of a socket hold for the connections that it makes later', () => {
  const hex = (port?: number) => `:${port!.toString(16).toUpperCase().padStart(4, '0')}`
  /** Seconds until the kernel probes, in tens; undefined: not at all. */
  const keepAlive = async (socket: nodeNet.Socket): Promise<number | undefined> => {
    let timer: string | undefined
    // The system may leave a row out when others come and go.
    await eventually(() => {
      const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n')
      for (const row of rows.map((line) => line.trim().split(/\s+/))) {
        const [, local = '', remote = '', state] = row
        const same =
          local.endsWith(hex(socket.localPort)) && remote.endsWith(hex(socket.remotePort))
        if (same && state === '01') timer = row[5]
      }
      return timer !== undefined
    }, 'a row of the system')
    const [kind, when] = timer!.split(':')
    return kind === '02' ? Math.round(parseInt(when, 16) / 1000) : undefined
  }
  type Step = (socket: nodeNet.Socket) => unknown
  const rows: [string, object, before: Step, between: Step][] = [
    ['new Socket()', { keepAlive: true, keepAliveInitialDelay: 60_000 }, () => 0, () => 0],
    ['before connect()', {}, (s) => s.setKeepAlive(true, 90_000), () => 0],
    ['while connected', {}, () => 0, (s) => s.setKeepAlive(true, 120_000)],
    ['switched off', { keepAlive: true }, () => 0, (s) => s.setKeepAlive(false)],
    ['between two', {}, () => 0, (s) => s.once('close', () => s.setKeepAlive(true, 30_000))],
  ]
  test.each(rows)('keep-alive and its delay: %s', (_, options, before, between) =>
    asNode(async (net) => {
      const [port, accepted] = await peer()
      const socket = keep(new net.Socket(options))
      before(socket)
      const seen: unknown[] = []
      for (let round = 0; round < 3; round++) {
        socket.connect(port, '127.0.0.1')
        await once(socket, 'connect')
        seen.push(await keepAlive(socket))
        between(socket)
        socket.destroy()
        await once(socket, 'close')
      }
      await eventually(() => accepted.length === 3, 'three connections')
      return seen
    }),
  )

  test('those of its server, when an accepted socket connects', () =>
    asNode(async (net) => {
      const [port] = await peer()
      const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }
      const server = net.createServer(options).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const accepted = once(server, 'connection') as Promise<[nodeNet.Socket]>
      await connected(net, (server.address() as nodeNet.AddressInfo).port)
      const [socket] = await accepted
      keep(socket).destroy()
      server.close() // Node counts a socket that connects again wrongly, and would never close
      await Promise.all([once(socket, 'close'), once(server, 'close')])
      socket.connect(port, '127.0.0.1')
      await once(socket, 'connect')
      if (net !== modules[0][1]) {
        const { vc } = socket as unknown as { vc: { socketOptions(): object } }
        expect(vc.socketOptions()).toMatchObject({ noDelay: true })
      }
      return keepAlive(socket)
    }))

  test('noDelay and the type of service', async () => {
    const [, net] = modules[1]
    const [port] = await peer()
    type OurSocket = nodeNet.Socket & {
      setTypeOfService(tos: number): void
      vc: { socketOptions(): object }
    }
    const socket = keep(new net.Socket({ noDelay: true } as object)) as OurSocket
    socket.setTypeOfService(8)
    for (let round = 0; round < 3; round++) {
      socket.connect(port, '127.0.0.1')
      await once(socket, 'connect')
      expect(socket.vc.socketOptions()).toMatchObject({ noDelay: round < 2, tos: 8 })
      if (round === 1) socket.setNoDelay(false)
      socket.destroy()
      await once(socket, 'close')
    }
  })

  test('an idle timeout is of one connection; a new one may be set', () =>
    asNode(async (net) => {
      const [port] = await peer()
      const log: unknown[] = []
      const socket = keep(new net.Socket())
      socket.setTimeout(10, () => log.push('timeout'))
      for (let round = 0; round < 2; round++) {
        socket.connect(port, '127.0.0.1')
        await once(socket, 'connect')
        if (log.length === 0) await once(socket, 'timeout')
        log.push(socket.timeout, socket.bytesRead, socket.bytesWritten)
        socket.destroy()
        await once(socket, 'close')
      }
      socket.connect(port, '127.0.0.1').setTimeout(10)
      await once(socket, 'timeout')
      return log
    }))

  const scripts: Record<string, string> = {
    'before connect()': 'socket.unref(); go()',
    'while connected': "go(); socket.once('connect', () => socket.unref())",
    'in the second round': "go(); socket.once('close', () => socket.unref())",
    'and ref() again': 'socket.unref(); socket.ref(); go()',
  }
  test.each(Object.keys(scripts))('unref() is of one connection: %s', async (name) => {
    // The peer is silent for a moment, then ends: who hears of it was kept alive.
    const [port] = await peer((socket) => setTimeout(() => socket.end(), 300))
    const run = async (module: string) => {
      const { stdout } = await runChild(
        `import net from '${module}'
        import { writeSync } from 'node:fs'
        const socket = new net.Socket()
        let round = 0
        const go = () => socket.connect(${String(port)}, '127.0.0.1', () => {
          socket.resume()
          if (++round === 1) setImmediate(() => socket.destroy())
        })
        socket.on('close', () => {
          writeSync(1, 'close' + round + ' ')
          if (round === 1) go()
        })
        ${scripts[name]}`,
        { bare: true },
      )
      return stdout
    }
    expect(await run('netvc/net')).toBe(await run('node:net'))
  })
})
