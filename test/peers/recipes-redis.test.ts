import { expect, test } from 'vitest'

import { runExample, tcp } from './support/examples.js'
import { describeWith, run } from './support/programs.js'
import { startRedis } from './support/redis.js'
import { freePort } from './support/sockets.js'

describeWith('redis-server', 'redis-server', 'ioredis', () => {
  test('pipelined commands, in order', async () => {
    const socket = await startRedis()
    const program = runExample('redis', `unix://${socket}`)
    expect(await program.exited).toEqual({ code: 0, signal: null })
    expect(program.stdout).toBe('hello\ncounted 1000, in order: true\n')
    const direct = await run('redis-cli', ['-s', socket, 'MGET', 'greeting', 'counter'])
    expect(direct.stdout).toBe('hello\n1000\n')
  })

  test('a server that comes late', async () => {
    const port = await freePort()
    const program = runExample('redis', tcp(port))
    await program.printed(/ECONNREFUSED[\s\S]*ECONNREFUSED/)
    await startRedis('--port', String(port), '--bind', '127.0.0.1')
    expect((await program.exited).code).toBe(0)
    expect(program.stdout).toMatch(/hello\ncounted 1000, in order: true\n$/)
  })
})
