// A TCP and unix socket proxy. JavaScript connects and joins; native code carries the bytes.
//   npm run example proxy tcp://127.0.0.1:8080 tcp://127.0.0.1:9000

import { Reactor, tunnel } from 'netvc'

const [listen = 'tcp://127.0.0.1:8080', upstream = 'tcp://127.0.0.1:9000'] = process.argv.slice(2)

const reactor = new Reactor({ threads: 1 })
const listener = await reactor.listen(listen, (client) => {
  reactor
    .connect(upstream)
    .then((server) => tunnel(client, server))
    .catch(() => client.doIoClose())
})
console.log(`listening ${listener.addresses.join(' ')}`)
