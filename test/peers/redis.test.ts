import { expect, test } from 'vitest'

import { Cli } from './support/cli.js'
import { describeWith, run } from './support/programs.js'
import { startRedis } from './support/redis.js'

describeWith('redis-server', 'redis-server', 'redis through netvc proxy', () => {
  test.each([0, 1])('redis-benchmark, pipelined, --threads %d', async (threads) => {
    const socket = await startRedis()
    const cli = await Cli.proxyTo(`unix://${socket}`, '--threads', String(threads))
    const to = ['-h', '127.0.0.1', '-p', String(cli.port)]
    const load = ['-P', '16', '-c', '50', '-n', '100000', '-t', 'set,get,lpush,lrange_100', '-q']
    const { code, stdout, stderr } = await run('redis-benchmark', [...to, ...load])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    for (const name of ['SET', 'GET', 'LPUSH', 'LRANGE_100']) {
      expect(stdout).toMatch(new RegExp(`${name}[^:]*: [\\d.]+ requests per second`))
    }

    // What was set through the proxy is what the server has.
    const value = 'v'.repeat(3_000_000)
    await run('redis-cli', [...to, '-x', 'SET', 'large'], value)
    const direct = await run('redis-cli', ['-s', socket, 'STRLEN', 'large'])
    expect(direct.stdout.trim()).toBe(String(value.length))
    const through = await run('redis-cli', [...to, 'GET', 'large'])
    expect(through.stdout.trim()).toBe(value)
    expect(await cli.terminate()).toBe(0)
    expect(cli.stderr).toBe('')
  })
})
