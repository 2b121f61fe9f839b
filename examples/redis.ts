// ioredis on connections of netvc: it needs a Connector, and that needs connect() of netvc/net.
//   npm run example redis tcp://127.0.0.1:6379        (or unix:///run/redis/redis-server.sock)

import { AbstractConnector, Redis } from 'ioredis'
import { connect } from 'netvc/net'

const { protocol, hostname, port, pathname } = new URL(process.argv[2] ?? 'tcp://127.0.0.1:6379')

class NetvcConnector extends AbstractConnector {
  constructor() {
    super(2000) // milliseconds that closing may take
  }
  override connect() {
    const tcp = { host: hostname, port: Number(port) }
    this.stream = connect(protocol === 'unix:' ? { path: pathname } : tcp)
    return Promise.resolve(this.stream)
  }
}

const redis = new Redis({ Connector: NetvcConnector })
redis.on('error', (error: Error) => console.log(error.message)) // it tries again by itself
await redis.set('greeting', 'hello')
console.log(await redis.get('greeting'))
const answers = await Promise.all(Array.from({ length: 1000 }, () => redis.incr('counter')))
const inOrder = answers.every((n, i) => n === answers[0] + i)
console.log(`counted ${String(answers.length)}, in order: ${String(inOrder)}`)
await redis.quit()
