import { connect } from 'node:net'
import { MIOBuffer, Reactor, tunnel, VCEvent, type VConnection } from 'netvc'
import { describe, expect, test } from 'vitest'

const rounds = 60
const size = 300_000

/** A reader that JavaScript armed without end goes on while JavaScript decides: nothing of it is lost. */
describe.each([0, 2])('threads: %i', (threads) => {
  for (const how of ['consumed and written on', 'peeked at only'] as const) {
    test(`bytes that a read operation has brought go on into the tunnel: ${how}`, async () => {
      await using reactor = new Reactor({ threads })
      const sent = Buffer.alloc(size)
      for (let i = 0; i < size; i++) sent[i] = (i * 7) % 251
      let received: (bytes: Buffer) => void = () => undefined
      const origin = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
        const buffer = new MIOBuffer()
        const reader = buffer.allocReader()
        const parts: Buffer[] = []
        vc.doIoRead(
          (event) => {
            parts.push(reader.read())
            if (event === VCEvent.READ_READY) return
            received(Buffer.concat(parts))
            vc.doIoClose()
          },
          Infinity,
          buffer,
        )
      })
      const accept = async (client: VConnection) => {
        const up = reactor.connect(origin.addresses[0] ?? '')
        const buffer = new MIOBuffer()
        const reader = buffer.allocReader()
        const server = await up
        let decided = false
        client.doIoRead(
          () => {
            if (decided) return
            decided = true
            if (how === 'peeked at only') reader.peek(new Uint8Array(16))
            else server.write(reader.read(1000))
            for (
              const until = process.hrtime.bigint() + 1_000_000n;
              process.hrtime.bigint() < until;
            );
            tunnel(client, server)
          },
          Infinity,
          buffer,
        )
      }
      const front = await reactor.listen('tcp://127.0.0.1:0', (vc) => void accept(vc))
      const port = Number(new URL(front.addresses[0] ?? '').port)
      for (let round = 0; round < rounds; round++) {
        const all = new Promise<Buffer>((resolve) => (received = resolve))
        const socket = connect(port, '127.0.0.1')
        socket.end(sent)
        expect(sent.equals(await all)).toBe(true)
        socket.destroy()
      }
    })
  }
})
