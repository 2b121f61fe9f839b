import { describe, expect, test } from 'vitest'

import { pattern } from '../js/support/pattern.js'
import { Cli } from './support/cli.js'
import { describeWith, Program, run } from './support/programs.js'
import { connect, Upstream, type Peer } from './support/sockets.js'

async function pair(threads = 1): Promise<{ cli: Cli; client: Peer; server: Peer }> {
  const upstream = await Upstream.start()
  const cli = await Cli.proxyTo(upstream.port, '--threads', String(threads), '--interval', '1')
  const client = await connect(cli.port)
  return { cli, client, server: await upstream.next() }
}

/** The proxy holds nothing any more. */
const empty = (cli: Cli) => cli.printed(/^0 open, 1 in all/m)

describe.each([0, 1])('ends through the proxy, --threads %d', (threads) => {
  test('client first: the answer comes after its FIN', async () => {
    const { cli, client, server } = await pair(threads)
    client.socket.end(pattern(300_000))
    await server.ended
    expect(Buffer.concat(server.chunks).equals(pattern(300_000))).toBe(true)
    server.socket.write(pattern(3_000_000))
    await client.has(3_000_000)
    server.socket.end('!')
    await client.ended
    expect(
      Buffer.concat(client.chunks).equals(Buffer.concat([pattern(3_000_000), Buffer.from('!')])),
    ).toBe(true)
    await empty(cli)
  })

  test('server first: the client goes on sending', async () => {
    const { cli, client, server } = await pair(threads)
    server.socket.end('hello and goodbye')
    await client.ended
    expect(client.text).toBe('hello and goodbye')
    client.socket.write(pattern(2_000_000))
    await server.has(2_000_000)
    client.socket.end()
    await server.ended
    expect(Buffer.concat(server.chunks).equals(pattern(2_000_000))).toBe(true)
    await empty(cli)
  })

  test('both at once: nothing is lost', async () => {
    const { cli, client, server } = await pair(threads)
    client.socket.end(pattern(1_000_000))
    server.socket.end(pattern(1_500_000, 77))
    await Promise.all([client.ended, server.ended])
    expect(Buffer.concat(server.chunks).equals(pattern(1_000_000))).toBe(true)
    expect(Buffer.concat(client.chunks).equals(pattern(1_500_000, 77))).toBe(true)
    await empty(cli)
  })

  test('a reset by the client reaches the server as an end, at once', async () => {
    const { cli, client, server } = await pair(threads)
    client.socket.write('x')
    await server.has(1)
    client.reset()
    await server.over
    await empty(cli)
    expect(cli.stderr).toBe('')
  })

  test('a reset by the server ends the client', async () => {
    const { cli, client, server } = await pair(threads)
    client.socket.write('x')
    await server.has(1)
    server.reset()
    await client.over
    await empty(cli)
  })

  test('a reset in the middle of traffic, both directions busy', async () => {
    const { cli, client, server } = await pair(threads)
    const chunk = pattern(1 << 20)
    for (const socket of [client.socket, server.socket]) {
      const more = (error?: Error | null) => void (error ?? socket.write(chunk, more))
      more()
    }
    await Promise.all([client.has(8 << 20), server.has(8 << 20)])
    server.reset()
    await client.over
    client.socket.destroy()
    await empty(cli)
  })
})

describeWith('socat', 'socat', 'socat', () => {
  test('netvc echo answers after the end of input', async () => {
    const cli = await Cli.start('echo', 'tcp://127.0.0.1:0')
    const bytes = Buffer.from(pattern(200_000).toString('hex')) // stdout is collected as text
    const { code, stdout } = await run(
      'socat',
      ['-t', '20', '-', `TCP:127.0.0.1:${String(cli.port)}`],
      bytes,
    )
    expect(code).toBe(0)
    expect(stdout).toBe(bytes.toString())
    expect(await cli.terminate()).toBe(0)
    expect(cli.stdout).toMatch(/closed after 1 connection, in 391 KiB, out 391 KiB/)
  })

  test('a late answer after half-close, with socat on both ends', async () => {
    const server = new Program('socat', [
      '-d',
      '-d',
      '-t',
      '20',
      'TCP-LISTEN:0,bind=127.0.0.1',
      'SYSTEM:sort',
    ])
    const [, port] = await server.printed(/listening on AF=2 127\.0\.0\.1:(\d+)/, 'stderr')
    const cli = await Cli.proxyTo(Number(port))
    const to = `TCP:127.0.0.1:${String(cli.port)}`
    const { code, stdout } = await run('socat', ['-t', '20', '-', to], 'pear\napple\nfig\n')
    expect(code).toBe(0)
    expect(stdout).toBe('apple\nfig\npear\n') // sort answers when its input has ended
  })

  test('kill -9 of the peer in the middle of a tunnel', async () => {
    const upstream = await Upstream.start()
    const cli = await Cli.proxyTo(upstream.port, '--interval', '1')
    const client = new Program('socat', ['-u', '/dev/zero', `TCP:127.0.0.1:${String(cli.port)}`])
    const server = await upstream.next()
    await server.has(4 << 20)
    client.kill('SIGKILL')
    await server.over
    server.socket.destroy()
    await empty(cli)
  })
})
