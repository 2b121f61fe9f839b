// What a user's first program does: one connection, bytes there and back, and an end. The process
// has to end by itself when the reactor is closed.
export async function echo({ Reactor, MIOBuffer, VCEvent }, options) {
  const reactor = new Reactor(options)
  const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
    const buffer = new MIOBuffer()
    const reader = buffer.allocReader()
    const onEvent = (event) =>
      event === VCEvent.READ_READY ? vc.write(reader.read()) : vc.doIoClose()
    vc.doIoRead(onEvent, Infinity, buffer)
  })
  const sent = new TextEncoder().encode('netvc')
  const vc = await reactor.connect(listener.addresses[0])
  const received = await new Promise((resolve, reject) => {
    const buffer = new MIOBuffer()
    const reader = buffer.allocReader()
    const bytes = []
    const onEvent = (event) => {
      if (event !== VCEvent.READ_READY) return reject(new Error(`event ${event} instead of bytes`))
      bytes.push(...reader.read())
      if (bytes.length >= sent.length) resolve(Uint8Array.from(bytes))
    }
    vc.doIoRead(onEvent, Infinity, buffer)
    vc.write(sent)
  })
  vc.doIoClose()
  await listener.close()
  await reactor.close()
  const text = new TextDecoder().decode(received)
  if (text !== 'netvc') throw new Error(`sent netvc, received ${text}`)
  console.log('echoed')
}

/** Options of the reactor from the command line: node esm.mjs '{"threads":1}' */
export const optionsFromArgv = () => JSON.parse(process.argv[2] ?? '{"threads":0}')
