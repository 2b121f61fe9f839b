// Hello with node:http on its own listener; the answer repeats the path, and the generator checks it.

import type { AddressInfo } from 'node:net'
import { createHttpServer } from './http.js'
import { announce } from './support.js'

const server = createHttpServer()
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  announce((server.address() as AddressInfo).port)
})
