import { createServer, type Server } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { endsWell, runChild } from '../support/child.js'
import { engines } from '../support/engines.js'
import { eventually } from '../support/fixture.js'

const bytes = 20_000_000

/** What was written before doIoClose() leaves, although the process has nothing else to do. */
describe.each(engines)('a process that ends with unsent messages, $engine', ({ threads }) => {
  let server: Server
  let port = 0
  let received = 0

  beforeAll(async () => {
    server = createServer((socket) => {
      socket.on('data', (chunk) => (received += chunk.length))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    port = (server.address() as { port: number }).port
  })
  afterAll(() => void server.close())

  const run = (end: string) =>
    runChild(
      `const reactor = new Reactor({ threads })
       const vc = await reactor.connect('tcp://127.0.0.1:${String(port)}')
       vc.write(Buffer.alloc(${String(bytes)}))
       ${end}`,
      { threads },
    )

  beforeEach(() => {
    received = 0
  })

  test.each([
    'vc.doIoClose()',
    'await reactor.close()',
    'reactor.close()',
    'vc.doIoClose(); reactor.close()',
  ])('%s: all arrives', async (end) => {
    expect(await run(end)).toMatchObject(endsWell)
    await eventually(() => received === bytes, 'all has come')
  })

  test('reactor.unref() lets it end at once', async () => {
    expect(await run('reactor.unref(); vc.doIoClose()')).toMatchObject(endsWell)
  })
})
