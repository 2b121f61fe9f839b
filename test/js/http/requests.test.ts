import { once } from 'node:events'
import { request, type Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import { Readable, type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Reactor } from 'netvc'
import { describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import {
  integerBelow,
  logarithmic,
  PatternChecker,
  pick,
  random,
  seeds,
} from '../support/pattern.js'
import { downPath, pieces, startSite, type Wanted } from './site.js'

const total = 10_000
const lanes = 16

interface Client {
  agent: Agent
  open: () => Promise<Duplex>
  next: () => number
}

function ask(agent: Agent, method: string, path: string, headers = {}): ClientRequest {
  return request({ agent, host: '127.0.0.1', method, path, headers })
}

const answerTo = async (sent: ClientRequest) =>
  ((await once(sent, 'response')) as [IncomingMessage])[0]

async function expectBody(answer: Readable, n: number, from: number): Promise<void> {
  const checker = new PatternChecker(from)
  for await (const bytes of answer) checker.take(bytes as Buffer)
  expect(checker.count).toBe(n)
}

function some(next: () => number, most = 100_000): Wanted {
  const n = logarithmic(next, 1, most)
  const count = logarithmic(next, 1, 20)
  return { n, from: integerBelow(next, 1e6), count, length: next() < 0.5 }
}

/** Each makes one request and knows how it must end; it answers with the number of requests. */
const kinds = {
  async down({ agent, next }: Client) {
    const wanted = some(next)
    const sent = ask(agent, 'GET', downPath(wanted)).end()
    await expectBody(await answerTo(sent), wanted.n, wanted.from)
    return 1
  },

  async up({ agent, next }: Client) {
    const { n, from, count, length } = some(next)
    const sent = ask(agent, 'POST', `/up?${String(from)}`, length ? { 'content-length': n } : {})
    const answer = answerTo(sent)
    await pipeline(Readable.from(pieces(n, from, count)), sent)
    expect((await (await answer).toArray()).join('')).toBe(String(n))
    return 1
  },

  async echo({ agent, next }: Client) {
    const { n, from, count } = some(next, 300_000)
    const sent = ask(agent, 'POST', '/echo')
    const answer = answerTo(sent)
    const up = pipeline(Readable.from(pieces(n, from, count)), sent)
    await expectBody(await answer, n, from)
    await up
    return 1
  },

  async 'client leaves while it asks'({ agent, next }: Client) {
    const { n, from, count } = some(next)
    const sent = ask(agent, 'POST', pick(next, [`/up?${String(from)}`, '/echo']), {
      'content-length': n + 1,
    })
    sent.on('error', () => undefined)
    const closed = new Promise((resolve) => sent.once('close', resolve))
    for (const piece of pieces(n, from, count)) sent.write(piece)
    if (next() < 0.5) await new Promise((resolve) => setImmediate(resolve))
    sent.destroy()
    await closed
    return 1
  },

  async 'client leaves in the answer'({ agent, next }: Client) {
    const wanted = { ...some(next), n: 1 << 20, count: 16 }
    const answer = await answerTo(ask(agent, 'GET', downPath(wanted)).end())
    const checker = new PatternChecker(wanted.from)
    for await (const bytes of answer) {
      checker.take(bytes as Buffer)
      break // destroys it
    }
    expect(checker.count).toBeGreaterThan(0)
    expect(answer.complete).toBe(false)
    return 1
  },

  async 'server leaves in the answer'({ agent, next }: Client) {
    const wanted = { ...some(next), n: 200_000, count: 10, abort: 1 + integerBelow(next, 9) }
    const checker = new PatternChecker(wanted.from)
    const whole = async () => {
      const answer = await answerTo(ask(agent, 'GET', downPath(wanted)).end())
      for await (const bytes of answer) checker.take(bytes as Buffer)
    }
    await expect(whole()).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(checker.count).toBeLessThanOrEqual(wanted.abort * 20_000)
    return 1
  },

  async pipelined({ open, next }: Client) {
    const list = Array.from({ length: 1 + integerBelow(next, 20) }, () => ({
      ...some(next, 20_000),
      length: true,
    }))
    const stream = await open()
    const head = (wanted: Wanted) => `GET ${downPath(wanted)} HTTP/1.1\r\nHost: a\r\n`
    const requests = list.map((wanted) => `${head(wanted)}\r\n`).join('')
    const bytes = Buffer.from(`${requests}GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    const size = logarithmic(next, 50, bytes.length)
    for (let at = 0; at < bytes.length; at += size) stream.write(bytes.subarray(at, at + size))
    let rest = Buffer.concat((await stream.toArray()) as Buffer[])
    for (const { n, from } of list) {
      const body = rest.indexOf('\r\n\r\n') + 4
      expect(rest.toString('latin1', 0, body)).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      const checker = new PatternChecker(from)
      checker.take(rest.subarray(body, body + n))
      expect(checker.count).toBe(n)
      rest = rest.subarray(body + n)
    }
    expect(rest.toString('latin1')).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n0$/s)
    return list.length + 1
  },
}

const often = ['down', 'up', 'echo', 'down', 'up', 'echo', 'pipelined'] as const
const names = Object.keys(kinds) as (keyof typeof kinds)[]
const probe = new Reactor()

describe('HTTP over streams', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test.each(seeds(1))(
      '10,000 requests and every way to leave, seed %i',
      { timeout: 120_000 },
      async (seed) => {
        const before = probe.stats()
        const { site, agent, open, streams } = await startSite(box.world)
        const made = new Set<string>()
        const lane = async (number: number) => {
          const next = random(seed + number)
          for (let requests = 0; requests < total / lanes;) {
            const kind = next() < 0.8 ? pick(next, often) : pick(next, names)
            requests += await kinds[kind]({ agent, open, next })
            made.add(kind)
          }
        }
        await Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)))
        expect([...made].sort()).toEqual([...names].sort())

        // Nothing may be left, before the reactor is closed.
        agent.destroy()
        site.closeIdleConnections()
        await eventually(() => streams.closed === streams.opened, 'every stream has closed')
        await eventually(() => box.world.reactor.stats().open === 0, 'no connection is open')
        await eventually(() => {
          const { messages, buffers, blocks } = probe.stats()
          return messages <= before.messages && buffers <= before.buffers && blocks <= before.blocks
        }, 'no message, buffer or block is left')
      },
    )
  })
})
