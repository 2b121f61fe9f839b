import assert from 'node:assert'
import { once } from 'node:events'
import nodeNet, { type AddressInfo } from 'node:net'
import vcNet from 'netvc/net'
import { expect, test } from 'vitest'

// What is read is a Buffer as Node makes them, also for what compares prototypes.
test.each([
  ['node:net', nodeNet],
  ['netvc/net', vcNet],
] as const)('a chunk of %s deeply equals a Buffer', async (_, net) => {
  const server = net.createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  expect(chunk.constructor).toBe(Buffer)
  expect(Object.getPrototypeOf(chunk)).toBe(Buffer.prototype)
  assert.deepStrictEqual(chunk, Buffer.from('hello'))
  socket.destroy()
  server.close()
})
