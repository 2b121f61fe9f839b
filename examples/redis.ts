// ioredis on connections of netvc: a Connector is all that it needs.
//   npm run example redis tcp://127.0.0.1:6379        (or unix:///run/redis/redis-server.sock)

import { Socket } from 'node:net'
import { AbstractConnector, Redis } from 'ioredis'
import { Reactor } from 'netvc'

const address = process.argv[2] ?? 'tcp://127.0.0.1:6379'
const reactor = new Reactor()

class NetvcConnector extends AbstractConnector {
  constructor() {
    super(2000) // milliseconds that closing may take
  }
  async connect() {
    try {
      const vc = await reactor.connect(address)
      this.stream = vc.stream() as unknown as Socket // ioredis uses only what both have
    } catch (error) {
      // A stream that has failed already: ioredis tries again later, as its retryStrategy says.
      this.firstError = error as Error
      this.stream = new Socket().destroy()
    }
    return this.stream
  }
}

const redis = new Redis({ Connector: NetvcConnector })
redis.on('error', (error: Error) => console.log(error.message))
await redis.set('greeting', 'hello')
console.log(await redis.get('greeting'))
const answers = await Promise.all(Array.from({ length: 1000 }, () => redis.incr('counter')))
const inOrder = answers.every((n, i) => n === answers[0] + i)
console.log(`counted ${String(answers.length)}, in order: ${String(inOrder)}`)
await redis.quit()
await reactor.close()
