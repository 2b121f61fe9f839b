import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { connect as netConnect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'

import { finally_ } from './support/cleanup.js'
import { Program } from './support/programs.js'
import { connect, Peer, Upstream } from './support/sockets.js'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const blocks = [...readme.matchAll(/^```js\n([^]*?)^```$/gm)].map((match) => match[1] ?? '')

function start(source: string): Program {
  return new Program(process.execPath, ['--input-type=module', '--eval', source])
}

test('the proxy of the first screen works as it stands there', async () => {
  const source = blocks.find((block) => block.includes('tunnel(client, server)'))
  expect(source).toBeDefined()
  const upstream = await Upstream.start()
  const dir = mkdtempSync(path.join(tmpdir(), 'netvc-readme-'))
  finally_(() => rmSync(dir, { recursive: true, force: true }))
  const file = path.join(dir, 'front')
  const program = start(
    source!
      .replace('tcp://127.0.0.1:8080', `unix://${file}`)
      .replace(':9000', `:${String(upstream.port)}`) + "\nconsole.log('up')",
  )
  await program.printed(/^up$/m)
  const socket = netConnect({ path: file, allowHalfOpen: true })
  const client = new Peer(socket)
  await once(socket, 'connect')
  socket.end('question')
  const server = await upstream.next()
  await server.ended
  expect(server.text).toBe('question')
  server.socket.end('answer')
  await client.ended
  expect(client.text).toBe('answer')
})

test('the echo server of the tour works as it stands there', async () => {
  const source = blocks.find((block) => block.includes('doIoRead'))
  expect(source).toBeDefined()
  const dir = mkdtempSync(path.join(tmpdir(), 'netvc-readme-'))
  finally_(() => rmSync(dir, { recursive: true, force: true }))
  const program = start(
    source!.replace(':7000', ':0').replace('/tmp/echo.sock', path.join(dir, 'echo')),
  )
  const [, port] = await program.printed(/tcp:\/\/127\.0\.0\.1:(\d+)/)
  const client = await connect(Number(port))
  client.socket.end('to you')
  await client.ended
  expect(client.text).toBe('to you')
})
