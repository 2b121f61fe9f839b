import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

import { finally_ } from './support/cleanup.js'
import { Cli, cliFile, runCli } from './support/cli.js'
import { Program } from './support/programs.js'
import { connect, freePort, Upstream } from './support/sockets.js'

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

describe('what is wrong is said in one line', () => {
  const mistakes: [args: string[], says: RegExp][] = [
    [['echo'], /missing required argument 'address'/],
    [['echo', 'nonsense'], /Invalid address "nonsense"/],
    [['echo', 'tcp://127.0.0.1'], /needs a host and a port/],
    [['echo', 'tcp://127.0.0.1:99999'], /port must be a number from 0 to 65535/],
    [
      ['echo', 'tcp://8.8.8.8:0'],
      /listen EADDRNOTAVAIL tcp:\/\/8\.8\.8\.8:0: this machine has no such/,
    ],
    [
      ['echo', 'unix:///no/such/folder/socket'],
      /listen ENOENT unix:\/\/\/no\/such\/folder\/socket/,
    ],
    [['echo', 'tcp://no-such-name.invalid:80'], /the name has no address/],
    [['echo', '--threads', 'many', 'tcp://127.0.0.1:0'], /must be a whole number from 0 to 256/],
    [['proxy', 'tcp://127.0.0.1:0'], /missing required argument 'upstream'/],
    [['proxy', 'tcp://127.0.0.1:0', 'nonsense'], /Invalid address "nonsense"/],
    [['serve'], /unknown command 'serve'/],
  ]
  test.each(mistakes)('netvc %j', async (args, says) => {
    const { code, stdout, stderr } = await runCli(...args)
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^netvc: .*\n$/) // one line: no stack, no usage
    expect(stderr).toMatch(says)
  })

  test('a port that is taken', async () => {
    const first = await Cli.start('echo', 'tcp://127.0.0.1:0')
    const { code, stderr } = await runCli('echo', first.addresses[0])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^netvc: listen EADDRINUSE tcp:\S+: the address is taken.*\n$/)
  })

  test('an addon that cannot be loaded is said without a stack', async () => {
    const cli = new Program(process.execPath, [cliFile, 'echo', 'tcp://127.0.0.1:0'], {
      env: { NETVC_BINARY: '/no/such/file.node' },
    })
    expect((await cli.exited).code).toBe(1)
    expect(cli.stderr).toMatch(/^netvc: netvc could not load its native addon/)
    expect(cli.stderr).not.toMatch(/^\s+at /m)
  })
})

test('--help shows the commands with examples, --version the version', async () => {
  const help = await runCli('--help')
  expect(help.code).toBe(0)
  expect(help.stdout).toMatch(/echo.*\n.*proxy/)
  expect(help.stdout).toContain('$ netvc proxy')
  expect(await runCli('--version')).toMatchObject({ code: 0, stdout: `${version}\n` })
  expect((await runCli('proxy', '--help')).stdout).toContain('--grace')
})

test('several addresses: one line each, with the real port; unix sockets too', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'netvc-cli-'))
  finally_(() => rmSync(dir, { recursive: true, force: true }))
  const socket = `unix://${path.join(dir, 'echo')}`
  const cli = await Cli.start('echo', '127.0.0.1:0', 'tcp://[::1]:0', socket)
  await cli.printed(/unix:/)
  expect(cli.stdout).toMatch(
    /^listening tcp:\/\/127\.0\.0\.1:[1-9]\d*\nlistening tcp:\/\/\[::1\]:[1-9]\d*\nlistening unix:\/\//,
  )
  expect(await cli.terminate()).toBe(0)
})

test('whoever reads the output may go: serving continues', async () => {
  const cli = await Cli.start('echo', 'tcp://127.0.0.1:0', '--interval', '1')
  cli.child.stdout!.destroy()
  const client = await connect(cli.port)
  client.socket.write('one')
  await client.has(3)
  client.socket.end()
  await client.closed
  const second = await connect(cli.port)
  second.socket.write('still there')
  await second.has(11)
  expect(cli.child.exitCode).toBe(null)
})

describe('limits of a proxy', () => {
  test('--inactivity-timeout: a silent connection is ended at both sides', async () => {
    const upstream = await Upstream.start()
    const cli = await Cli.proxyTo(upstream.port, '--inactivity-timeout', '100')
    const client = await connect(cli.port)
    const server = await upstream.next()
    client.socket.write('hello')
    await server.has(5)
    await Promise.all([client.over, server.over])
    expect(await cli.terminate()).toBe(0)
    expect(cli.stdout).toMatch(/closed after 1 connection, in 5 B, out 0 B/)
    expect(cli.stdout).toMatch(/did not end by themselves: 1 inactivity\n/)
  })

  test('--half-close-timeout: a peer that never closes its side', async () => {
    const upstream = await Upstream.start()
    const cli = await Cli.proxyTo(upstream.port, '--half-close-timeout', '100')
    const client = await connect(cli.port)
    const server = await upstream.next()
    client.socket.end('that was all')
    await server.ended
    await client.over
    expect(server.text).toBe('that was all')
  })

  test('--connect-timeout: an upstream that does not answer', async () => {
    const args = ['proxy', 'tcp://127.0.0.1:0', 'tcp://192.0.2.1:9', '--connect-timeout', '50']
    const cli = await Cli.start(...args)
    const client = await connect(cli.port)
    await client.over
  })
})

describe('a signal', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s without connections ends at once, with 0',
    async (signal) => {
      const cli = await Cli.start('echo', 'tcp://127.0.0.1:0')
      expect(await cli.terminate(signal)).toBe(0)
      expect(cli.stdout).toMatch(/closed after 0 connections/)
      expect(cli.stderr).toBe('')
    },
  )

  test('lets a tunnel finish, and accepts nothing new', async () => {
    const upstream = await Upstream.start()
    const cli = await Cli.proxyTo(upstream.port, '--grace', '20000')
    const client = await connect(cli.port)
    const server = await upstream.next()
    cli.kill('SIGTERM')
    await cli.printed(/draining 1 connection, at most 20 s/)
    await expect(connect(cli.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })

    client.socket.end('a late question')
    await server.ended
    expect(server.text).toBe('a late question')
    server.socket.end('a late answer')
    await client.ended
    expect(client.text).toBe('a late answer')
    expect((await cli.exited).code).toBe(0)
    expect(cli.stdout).toMatch(/closed after 1 connection, in 15 B, out 13 B/)
  })

  test('ends what is left after --grace, still with 0', async () => {
    const upstream = await Upstream.start()
    const cli = await Cli.proxyTo(upstream.port, '--grace', '100')
    const client = await connect(cli.port)
    const server = await upstream.next()
    expect(await cli.terminate()).toBe(0)
    expect(cli.stdout).toMatch(/ending 1 connection/)
    await Promise.all([client.over, server.over])
  })

  test('gives up a connect that is under way', async () => {
    // An address that is never answered: TEST-NET-1. Where the network refuses it at once, the
    // client is gone before the signal, and the end is the same.
    const cli = await Cli.start('proxy', 'tcp://127.0.0.1:0', 'tcp://192.0.2.1:9', '--grace', '0')
    const client = await connect(cli.port)
    expect(await cli.terminate()).toBe(0)
    await client.over
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('a second %s ends at once, with %d', async (signal, code) => {
    const upstream = await Upstream.start()
    const cli = await Cli.proxyTo(upstream.port, '--grace', '3600000')
    await connect(cli.port)
    await upstream.next()
    cli.kill(signal)
    await cli.printed(/draining/)
    expect(await cli.terminate(signal)).toBe(code)
  })
})

test('an upstream that refuses: the client is closed, and lines are limited', async () => {
  const nobody = await freePort()
  const cli = await Cli.proxyTo(nobody)
  for (let i = 0; i < 20; i++) await (await connect(cli.port)).over
  await cli.printed(/connect ECONNREFUSED tcp:\/\/127\.0\.0\.1:\d+: nobody listens there/, 'stderr')
  expect(await cli.terminate()).toBe(0)
  const lines = cli.stderr.trimEnd().split('\n')
  expect(lines.length).toBeLessThan(10)
  expect(lines.every((line) => /^netvc: connect ECONNREFUSED/.test(line))).toBe(true)
})
