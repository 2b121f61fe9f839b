import { describe, expect, test } from 'vitest'

import { Cli, cliFile } from './support/cli.js'
import { describeWith, Program } from './support/programs.js'
import { connect } from './support/sockets.js'

const line = /1 open, 1 in all \| in \S+ [KMG]?i?B\/s, 100 KiB \| out \S+ [KMG]?i?B\/s, 100 KiB/

describe('status without a terminal', () => {
  test('plain lines, and none while nothing happens', async () => {
    const cli = await Cli.start('echo', 'tcp://127.0.0.1:0', '--interval', '1')
    const client = await connect(cli.port)
    client.socket.write(Buffer.alloc(100 * 1024))
    await client.has(100 * 1024)
    await cli.printed(line)
    client.socket.end()
    await client.closed
    await cli.printed(/^0 open, 1 in all .*\n/m)
    expect(await cli.terminate()).toBe(0)
    // No escape sequences, and no line twice.

    expect(cli.stdout).not.toMatch(/[\x1b\r]/)
    const lines = cli.stdout.split('\n').filter((text) => / open, /.test(text))
    expect(lines.length).toBeLessThanOrEqual(4)
  })
})

describeWith('script', 'bsdutils', 'status on a terminal', () => {
  test('one line, drawn again in place, no longer than the terminal is wide', async () => {
    const command = `stty cols 70; exec ${process.execPath} ${cliFile} echo tcp://127.0.0.1:0`
    const terminal = new Program('script', ['-qec', command, '/dev/null'])
    const [, port] = await terminal.printed(/listening tcp:\/\/127\.0\.0\.1:(\d+)/)
    const client = await connect(Number(port))
    client.socket.write(Buffer.alloc(100 * 1024))
    await client.has(100 * 1024)
    await terminal.printed(/1 open, 1 in all \| in [^|]* 100 KiB/)
    client.socket.end()
    await client.closed
    await terminal.printed(/0 open, 1 in all/)
    terminal.child.stdin!.write('\x03') // Ctrl-C, as the terminal's signal
    expect((await terminal.exited).code).toBe(0)

    const [, live = ''] =
      /listening \S+\s+([^]*?)closed after 1 connection/.exec(terminal.stdout) ?? []
    expect(live).not.toContain('\n')

    const drawn = live.split(/\x1b\[1G/).map((text) => text.replace(/\x1b\[\d?K/g, ''))
    expect(drawn.length).toBeGreaterThan(2)
    expect(Math.max(...drawn.map((text) => text.length))).toBeLessThan(70)
  })
})
