import { once } from 'node:events'
import nodeNet from 'node:net'
import netvcNet from 'netvc/net'
import { afterEach, expect } from 'vitest'

// node:net is the control: the same program runs on both modules and must see the same.

export type Net = typeof nodeNet
export const modules: [name: string, net: Net][] = [
  ['node:net', nodeNet],
  ['netvc/net', netvcNet],
]

/** Runs a program on Node's module, then on ours, and compares what they answer. */
export async function asNode(program: (net: Net) => unknown): Promise<void> {
  const [wanted, seen] = [await program(modules[0][1]), await program(modules[1][1])]
  expect(seen).toEqual(wanted)
}

const open = new Set<nodeNet.Socket | nodeNet.Server>()

/** Closed after the test. */
export function keep<T extends nodeNet.Socket | nodeNet.Server>(one: T): T {
  open.add(one)
  return one
}

afterEach(async () => {
  for (const one of open) if ('destroy' in one) one.destroy()
  for (const one of open) {
    if ('listening' in one && one.listening) await new Promise((resolve) => one.close(resolve))
  }
  open.clear()
})

/** A server of Node: [the port, its sockets]. */
export async function peer(
  handler: (socket: nodeNet.Socket) => void = () => undefined,
): Promise<[port: number, accepted: nodeNet.Socket[]]> {
  const accepted: nodeNet.Socket[] = []
  const server = keep(
    nodeNet.createServer((socket) => {
      accepted.push(keep(socket.on('error', () => undefined)))
      handler(socket)
    }),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return [(server.address() as nodeNet.AddressInfo).port, accepted]
}

export const connected = async (net: Net, port: number): Promise<nodeNet.Socket> => {
  const socket = keep(net.connect(port, '127.0.0.1'))
  await once(socket, 'connect')
  return socket
}

export const codeOf = (error: unknown) =>
  error ? ((error as NodeJS.ErrnoException).code ?? (error as Error).message) : 'ok'

/** Whole turns of the loop: its phases, the closing one too, and all ticks have been. */
export async function turns(n = 2): Promise<void> {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve))
}
