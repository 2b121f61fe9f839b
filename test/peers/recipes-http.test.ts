import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'

import { pattern } from '../js/support/pattern.js'
import { finally_ } from './support/cleanup.js'
import { anyPort, runExample, startExample } from './support/examples.js'
import { describeWith, Program, run } from './support/programs.js'
import { connect } from './support/sockets.js'

const http = (port: number) => `http://127.0.0.1:${String(port)}`

describeWith('curl', 'curl', 'http-server with curl', () => {
  test('one connection for many requests, and many connections', async () => {
    const { port, program } = await startExample('http-server', anyPort)
    const kept = await run('curl', ['-sS', '-v', `${http(port)}/[1-500]`])
    expect(kept.code).toBe(0)
    const wanted = Array.from({ length: 500 }, (_, i) => `hello from /${String(i + 1)}\n`)
    expect(kept.stdout).toBe(wanted.join(''))
    expect(kept.stderr.match(/^\* Connected to/gm)?.length).toBe(1)

    const fresh = ['-H', 'Connection: close', '--parallel', '--parallel-max', '40']
    const { stdout } = await run('curl', ['-sS', ...fresh, `${http(port)}/[1-500]`])
    expect(new Set(stdout.split(/(?<=\n)/))).toEqual(new Set(wanted))

    program.kill('SIGTERM')
    expect(await program.exited).toEqual({ code: 0, signal: null })
  })

  test('a body up and down at once', async () => {
    const { port } = await startExample('http-server', anyPort)
    const curl = new Program('sh', [
      '-c',
      'curl -sS -X POST -H "Content-Type: x/y" -T - "$0" | sha256sum',
      http(port),
    ])
    const body = pattern(30_000_000)
    curl.child.stdin!.end(body)
    expect((await curl.exited).code).toBe(0)
    const direct = await run('sha256sum', [], body)
    expect(curl.stdout).toBe(direct.stdout)
  })
})

describe('http-server', () => {
  test('SIGTERM: a request under way is answered first', async () => {
    const { port, program } = await startExample('http-server', anyPort)
    const [busy, idle] = [await connect(port), await connect(port)]
    idle.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const head = 'Host: a\r\nConnection: close\r\nContent-Length: 10'
    busy.socket.write(`POST / HTTP/1.1\r\n${head}\r\n\r\nfirst`)
    await idle.has(10)
    await busy.has(10)
    program.kill('SIGTERM')
    await idle.over
    busy.socket.write('_last')
    await busy.over
    expect(busy.text.replaceAll(/\r\n[\da-f]+\r\n/g, '')).toMatch(/first.*_last/s)
    expect(await program.exited).toEqual({ code: 0, signal: null })
  })
})

describe('http-client', () => {
  test('http.Agent and undici, each with one connection', async () => {
    let connections = 0
    const server = createServer((request, response) => response.end(`<${request.url ?? ''}>`))
    server.on('connection', () => connections++)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    finally_(() => server.closeAllConnections())
    finally_(() => server.close())
    const { port } = server.address() as AddressInfo
    const program = runExample('http-client', `${http(port)}/a?b`)
    expect(await program.exited).toEqual({ code: 0, signal: null })
    const each = 'http.Agent: </a?b>\nundici: </a?b>\n'
    expect(program.stdout).toBe(`${each}${each}2 connections were enough\n`)
    expect(connections).toBe(2)
  })

  test('a server that is not there', async () => {
    const program = runExample('http-client', 'http://127.0.0.1:1/')
    expect((await program.exited).code).toBe(1)
    expect(program.stderr).toMatch(/ECONNREFUSED/)
  })
})

test('ws: its own client, and others', async () => {
  const { port, program } = await startExample('ws', anyPort)
  await program.printed(/^the server said: hello$/m)
  const socket = new WebSocket(`ws://127.0.0.1:${String(port)}/`)
  finally_(() => socket.terminate())
  await once(socket, 'open')
  for (const size of [0, 1, 125, 126, 70_000, 3_000_000]) {
    socket.send(pattern(size, size))
    const [echo] = (await once(socket, 'message')) as [Buffer]
    expect(echo.equals(pattern(size, size))).toBe(true)
  }
  const many = new Promise<void>((resolve) => {
    let next = 0
    socket.on('message', (data: Buffer) => {
      expect(data.toString()).toBe(String(next))
      if (++next === 1000) resolve()
    })
  })
  for (let i = 0; i < 1000; i++) socket.send(String(i))
  await many
  socket.ping()
  await once(socket, 'pong')
  socket.close(4001)
  expect((await once(socket, 'close'))[0]).toBe(4001)
})
