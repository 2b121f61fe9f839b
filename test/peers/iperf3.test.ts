import { expect, test } from 'vitest'

import { Cli } from './support/cli.js'
import { describeWith, Program, run } from './support/programs.js'
import { freePort } from './support/sockets.js'

interface Report {
  error?: string
  end: { sum_sent: { bytes: number }; sum_received: { bytes: number } }
}

describeWith('iperf3', 'iperf3', 'iperf3 through netvc proxy', () => {
  test.each([
    ['up', []],
    ['down', ['-R']],
    ['both ways at once', ['--bidir']],
  ])('%s, four streams', async (_, direction) => {
    const port = await freePort()
    const bind = ['-B', '127.0.0.1', '-p', String(port)]
    const server = new Program('iperf3', ['-s', '-1', '--forceflush', ...bind])
    await server.printed(/Server listening/)
    const cli = await Cli.proxyTo(port)
    const to = ['-c', '127.0.0.1', '-p', String(cli.port)]
    const { code, stdout } = await run('iperf3', ['-J', '-P', '4', '-t', '1', ...to, ...direction])
    const report = JSON.parse(stdout) as Report
    expect(report.error).toBe(undefined)
    expect(code).toBe(0)
    expect(report.end.sum_received.bytes).toBeGreaterThan(10e6)
    expect((await server.exited).code).toBe(0)
    expect(await cli.terminate()).toBe(0)
    expect(cli.stderr).toBe('')
  })
})
