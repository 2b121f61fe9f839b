import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { connect as connectTls } from 'node:tls'
import { expect, test } from 'vitest'

import { pattern } from '../js/support/pattern.js'
import { finally_ } from './support/cleanup.js'
import { anyPort, startExample, tcp } from './support/examples.js'
import { describeWith, run } from './support/programs.js'
import { connect, Upstream } from './support/sockets.js'

const name = 'netvc.test'

/** A certificate for `netvc.test` that is its own authority. */
async function certificate(): Promise<[cert: string, key: string]> {
  const dir = mkdtempSync(path.join(tmpdir(), 'netvc-tls-'))
  finally_(() => rmSync(dir, { recursive: true, force: true }))
  const [cert, key] = [path.join(dir, 'cert.pem'), path.join(dir, 'key.pem')]
  const { code, stderr } = await run('openssl', [
    ...['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
    ...['-days', '2', '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`],
    ...['-out', cert, '-keyout', key],
  ])
  if (code !== 0) throw new Error(stderr)
  return [cert, key]
}

describeWith('openssl', 'openssl', 'tls', () => {
  test('terminate and originate: both ends in the clear, every byte and both ends of input', async () => {
    const [cert, key] = await certificate()
    const upstream = await Upstream.start()
    const inner = await startExample('tls', 'terminate', anyPort, tcp(upstream.port), cert, key)
    const outer = await startExample('tls', 'originate', anyPort, tcp(inner.port), cert, name)
    const clients = await Promise.all(Array.from({ length: 5 }, () => connect(outer.port)))
    for (const [i, client] of clients.entries()) {
      client.socket.write(pattern(3_000_000, i))
      const server = await upstream.next()
      await server.has(3_000_000)
      expect(Buffer.concat(server.chunks).equals(pattern(3_000_000, i))).toBe(true)
      server.socket.end(pattern(4_000_000, i + 1))
      await client.ended
      expect(Buffer.concat(client.chunks).equals(pattern(4_000_000, i + 1))).toBe(true)
    }
  })

  test('a client of node:tls: what it learns of the certificate, and bytes', async () => {
    const [cert, key] = await certificate()
    const upstream = await Upstream.start()
    const { port } = await startExample('tls', 'terminate', anyPort, tcp(upstream.port), cert, key)
    const options = { ca: readFileSync(cert), servername: name }
    const client = connectTls({ port, host: '127.0.0.1', ...options })
    finally_(() => client.destroy())
    await once(client, 'secureConnect')
    expect(client.authorized).toBe(true)
    expect(client.getProtocol()).toBe('TLSv1.3')
    client.write(pattern(100_000))
    const server = await upstream.next()
    await server.has(100_000)
    expect(Buffer.concat(server.chunks).equals(pattern(100_000))).toBe(true)
  })

  test('an upstream with another name gets nothing', async () => {
    const [cert, key] = await certificate()
    const upstream = await Upstream.start()
    const inner = await startExample('tls', 'terminate', anyPort, tcp(upstream.port), cert, key)
    const outer = await startExample('tls', 'originate', anyPort, tcp(inner.port), cert, 'other')
    const client = await connect(outer.port)
    client.socket.write('secret')
    await client.over
    const server = await upstream.next()
    await server.over
    expect(server.received).toBe(0)
  })
})

describeWith('curl', 'curl', 'tls with curl', () => {
  test('curl --cacert through terminate', async () => {
    const [cert, key] = await certificate()
    const body = pattern(5_000_000)
    const web = createServer((request, response) => {
      if (request.method === 'PUT') request.pipe(response)
      else response.end(body)
    }).listen(0, '127.0.0.1')
    await once(web, 'listening')
    finally_(() => web.closeAllConnections())
    finally_(() => web.close())
    const upstream = tcp((web.address() as AddressInfo).port)
    const { port } = await startExample('tls', 'terminate', anyPort, upstream, cert, key)
    const host = `${name}:${String(port)}`
    const file = path.join(path.dirname(cert), 'body')
    const curl = ['-sS', '--cacert', cert, '--resolve', `${host}:127.0.0.1`, '-o', file]
    const down = await run('curl', [...curl, `https://${host}/`])
    expect(down).toMatchObject({ code: 0, stderr: '' })
    expect(readFileSync(file).equals(body)).toBe(true)
    const up = await run('curl', [...curl, '-T', '-', `https://${host}/`], pattern(2_000_000, 9))
    expect(up).toMatchObject({ code: 0, stderr: '' })
    expect(readFileSync(file).equals(pattern(2_000_000, 9))).toBe(true)
  })
})
