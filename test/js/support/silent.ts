import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll } from 'vitest'
import { startChild } from './child.js'

/** An address where connects neither succeed nor fail: a stopped process with a full queue. */
export function useSilentAddress(): { address: string } {
  const box = { address: '' }
  const sockets: Socket[] = []
  let kill = () => {}

  beforeAll(async () => {
    const script = `
      import { createServer } from 'node:net'
      const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
        process.stdout.write(server.address().port + '\\n', () => process.kill(process.pid, 'SIGSTOP'))
      })`
    const { child } = startChild(script, { bare: true, limit: 600_000 })
    kill = () => void child.kill('SIGKILL')
    const port = await new Promise<number>((resolve) => {
      child.stdout!.once('data', (text: string) => resolve(Number(text)))
    })
    // On loopback the kernel answers a connect before it returns, as long as the queue has room.
    for (let i = 0; i < 4; i++) {
      sockets.push(connect(port, '127.0.0.1').on('error', () => {}))
    }
    await new Promise((resolve) => sockets[0].once('connect', resolve))
    box.address = `tcp://127.0.0.1:${String(port)}`
  })

  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    kill()
  })
  return box
}
