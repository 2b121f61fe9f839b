// Compiled by tsconfig.test.json (npm run lint) and never run: netvc/net has the types of node:net,
// and VConnection.stream() those of its own.
import type nodeNet from 'node:net'
import type { Duplex } from 'node:stream'
import type { VConnection, VCStream, VCStreamOptions } from 'netvc'
import net, {
  BlockList,
  connect,
  createConnection,
  createServer,
  isIP,
  Server,
  Socket,
  SocketAddress,
  Stream,
  type AddressInfo,
  type ListenOptions,
} from 'netvc/net'

export function modules(): void {
  const asNode: Pick<typeof nodeNet, Exclude<keyof typeof net, 'Stream'>> = net
  const server: net.Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const one: Socket = socket
    one.end('x')
  })
  const options: ListenOptions = { port: 0, host: '::1', signal: AbortSignal.timeout(5) }
  server.listen(options, () => {
    const { port } = server.address() as AddressInfo
    const client: net.Socket = connect({
      port,
      onread: { buffer: Buffer.alloc(5), callback: () => true },
    })
    createConnection(port).setTimeout(5).unref()
    client.resetAndDestroy()
  })
  class Mine extends Socket {}
  void [asNode, new Mine(), new Server(), new Stream(), new BlockList(), SocketAddress, isIP('x')]
}

export function streams(vc: VConnection): void {
  const options: VCStreamOptions = { allowHalfOpen: true, highWaterMark: 5 }
  const stream: VCStream = vc.stream(options)
  const duplex: Duplex = stream
    .setTimeout(5, () => {})
    .setNoDelay()
    .setKeepAlive(true, 5)
    .ref()
  const more: boolean = stream.write('x', 'latin1', (error) => void error)
  const own: VConnection | undefined = stream.vc
  void [duplex, more, own, stream.address(), stream.readyState, stream.bytesRead, stream.pending]
}

export function refused(vc: VConnection): void {
  // @ts-expect-error: there is no such option
  vc.stream({ objectMode: true })
  // @ts-expect-error: milliseconds are a number
  vc.stream().setTimeout('5')
  // @ts-expect-error: only a stream itself sets it
  vc.stream().vc = vc
}
