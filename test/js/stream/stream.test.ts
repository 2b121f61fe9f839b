import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { MIOBuffer, tunnel, type VConnection, type VCStream } from 'netvc'
import { expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

// VConnection.stream(): what net.Socket promises, over a connection of either engine.

onBothEngines((threads) => {
  const box = useWorld(threads)
  const pair = async (address?: string) => {
    const [a, b] = await box.world.pair(address)
    return [a, b] as [VConnection, VConnection]
  }
  const read = async (stream: VCStream) => {
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks)
  }

  test('bytes go both ways, and are counted', async () => {
    const [a, b] = await pair()
    const bytes = pattern(3_000_000)
    const echo = b.stream()
    const echoed = pipeline(echo, echo)
    const s = a.stream()
    s.end(bytes)
    expect(s.bytesWritten).toBe(bytes.length)
    expect((await read(s)).equals(bytes)).toBe(true)
    await echoed
    expect([s.bytesRead, s.bytesWritten, echo.bytesRead, echo.bytesWritten]).toEqual(
      Array(4).fill(bytes.length),
    )
  })

  test('nobody else may read or take the connection: ERR_VC_READING; closed it is tolerated (VC-1)', async () => {
    const [a, b] = await pair()
    const [c] = await pair()
    const s = b.stream()
    const refused: unknown = expect.objectContaining({
      code: 'ERR_VC_READING',
      message: expect.stringContaining('detach()') as string,
    })
    for (const steal of [
      () => b.doIoRead(() => {}, 1, box.world.buffer()),
      () => b.doIoRead(null, 0, null),
      () => tunnel(b, c),
      () => tunnel(c, b),
    ]) {
      expect(steal).toThrow(refused)
    }
    await expect(b.migrate(0)).rejects.toEqual(refused)
    expect(() => b.assign(1)).toThrow(refused)
    // Nothing of it was felt by the stream.
    const bytes = pattern(300_000)
    a.write(bytes)
    a.doIoShutdown('write')
    expect((await read(s)).equals(bytes)).toBe(true)
    await eventually(() => b.closed, 'closed')
    expect(b.doIoRead(null, 0, null).nbytes).toBe(0)
  })

  test('text in any encoding leaves in order', async () => {
    const [a, b] = await pair()
    const s = a.stream()
    const long = 'ü'.repeat(5000)
    s.write('Grüße')
    s.write('fe00', 'hex')
    s.cork()
    s.write('\u00ff', 'latin1')
    s.write(long)
    s.write(Buffer.from('b'))
    s.uncork()
    s.end('€', 'utf16le')
    const expected = Buffer.concat([
      Buffer.from('Grüße'),
      Buffer.from('fe00', 'hex'),
      Buffer.from([255]),
      Buffer.from(`${long}b`),
      Buffer.from('€', 'utf16le'),
    ])
    expect((await read(b.stream())).equals(expected)).toBe(true)
    expect(s.bytesWritten).toBe(expected.length)
  })

  test('what was read before and not consumed comes first', async () => {
    const [a, b] = await pair()
    const buffer = new MIOBuffer()
    const reader = buffer.allocReader()
    const behind = buffer.allocReader()
    await new Promise<void>((resolve) => {
      b.doIoRead(() => resolve(), Infinity, buffer)
      a.write('peeked')
    })
    await eventually(() => reader.readAvail === 6, 'all is there')
    reader.consume(2)
    expect(behind.readAvail).toBe(6)
    const s = b.stream()
    expect(b.stream()).toBe(s)
    a.write(' and more')
    a.doIoShutdown('write')
    expect((await read(s)).toString()).toBe('eked and more')
  })

  test('a slow reader stops the peer, and loses nothing', async () => {
    const [a, b] = await pair()
    const bytes = pattern(20_000_000)
    const s = b.stream()
    let left = false
    const writer = a.stream()
    writer.write(bytes, () => (left = true))
    s.once('readable', () => undefined)
    // It has stopped: nothing moves any more although most is still to come.
    let before = -1
    await eventually(() => {
      const now = b.inspect()!.bytesIn
      const rests = now === before && now > 0
      before = now
      return rests && b.inspect()!.read.enabled === false
    }, 'reading has stopped')
    expect(left).toBe(false)
    expect(b.inspect()!.bytesIn).toBeLessThan(400_000)
    expect(s.readableLength).toBeLessThanOrEqual(s.readableHighWaterMark + 400_000)
    writer.end()
    expect((await read(s)).equals(bytes)).toBe(true)
    expect(left).toBe(true)
  })

  test('write() answers false while the peer takes nothing, and drain comes', async () => {
    const [a, b] = await pair()
    const s = a.stream()
    let writes = 0
    while (s.write(Buffer.alloc(100_000))) expect(++writes).toBeLessThan(1000)
    expect(s.writableNeedDrain).toBe(true)
    b.stream().resume()
    await once(s, 'drain')
    s.destroy()
  })

  test('the order of events at an end from both sides', async () => {
    const [a, b] = await pair()
    const seen: string[] = []
    const s = b.stream()
    for (const name of ['end', 'finish', 'close'])
      s.on(name, (x) => seen.push(`${name} ${String(x)}`))
    s.on('data', (d) => seen.push(String(d)))
    const peer = a.stream()
    peer.end('bye')
    peer.resume()
    await Promise.all([once(s, 'close'), once(peer, 'close')])
    expect(seen).toEqual(['bye', 'end undefined', 'finish undefined', 'close false'])
    expect(s.readyState).toBe('closed')
  })

  test('half-open when that is allowed', async () => {
    const [a, b] = await pair()
    const s = b.stream({ allowHalfOpen: true })
    a.stream().end()
    s.resume()
    await once(s, 'end')
    expect(s.readyState).toBe('writeOnly')
    s.end('still')
    expect((await read(a.stream())).toString()).toBe('still')
  })

  test('writing after the peer has ended is EPIPE', async () => {
    const [a, b] = await pair()
    const s = b.stream()
    a.stream().end()
    s.on('finish', () => s.write('late'))
    s.resume()
    const [error] = (await once(s, 'error')) as [NodeJS.ErrnoException]
    expect(error).toMatchObject({ code: 'EPIPE' })
    a.stream().destroy()
  })

  test('a reset is an error of the stream, once', async () => {
    const [a, b] = await pair()
    const s = b.stream()
    const errors: NodeJS.ErrnoException[] = []
    s.on('error', (error) => errors.push(error))
    a.stream().resetAndDestroy()
    const hadError = await new Promise((resolve) => s.once('close', resolve))
    expect(hadError).toBe(true)
    expect(errors).toHaveLength(1)
    expect(errors[0]).toMatchObject({
      message: 'read ECONNRESET',
      code: 'ECONNRESET',
      syscall: 'read',
      errno: -104,
    })
    expect(Object.getPrototypeOf(errors[0])).toBe(Error.prototype)
  })

  test('a half-open stream hears that writing has failed', async () => {
    const [a, b] = await pair()
    const s = b.stream({ allowHalfOpen: true })
    a.stream().end()
    s.resume()
    await once(s, 'end')
    a.stream().destroy()
    const failed = once(s, 'error')
    const timer = setInterval(() => s.write('x'), 1)
    const [error] = (await failed) as [NodeJS.ErrnoException]
    clearInterval(timer)
    expect(['EPIPE', 'ECONNRESET']).toContain(error.code)
    await once(s, 'close')
  })

  test('a failure is told although nobody reads', async () => {
    const [a, b] = await pair()
    const s = b.stream()
    a.write(Buffer.alloc(10_000_000))
    await eventually(() => b.inspect()!.read.enabled === false, 'reading has stopped')
    b.setFailed(Object.assign(new Error('mine'), { code: 'EMINE' }))
    const [error] = (await once(s, 'error')) as [NodeJS.ErrnoException]
    expect(error).toMatchObject({ code: 'EMINE', message: 'mine' })
  })

  test('writing fails although nobody reads: that is told', async () => {
    const [a, b] = await pair()
    const s = b.stream()
    a.write(Buffer.alloc(10_000_000))
    await eventually(() => b.inspect()!.read.enabled === false, 'reading has stopped')
    a.stream().resetAndDestroy()
    const failed = once(s, 'error')
    const timer = setInterval(() => s.write('x'), 1)
    const [error] = (await failed) as [NodeJS.ErrnoException]
    clearInterval(timer)
    expect(error).toMatchObject({ syscall: 'write' })
    expect(['EPIPE', 'ECONNRESET']).toContain(error.code)
  })

  test('a write that waits hears why it never leaves', async () => {
    const [a, b] = await pair()
    const s = b.stream()
    s.on('error', () => undefined)
    const told = new Promise((resolve) => s.write(Buffer.alloc(20_000_000), resolve))
    a.stream().resetAndDestroy()
    expect(await told).toMatchObject({ code: 'ECONNRESET' })
  })

  test('whoever closes the connection closes the stream', async () => {
    const [, b] = await pair()
    const s = b.stream()
    b.doIoClose()
    const [hadError] = await once(s, 'close')
    expect(hadError).toBe(false)
    expect(s.destroyed).toBe(true)
  })

  test('timeouts are told once, and again after a byte', async () => {
    const [a, b] = await pair()
    const s = b.stream()
    s.resume()
    let told = 0
    s.setTimeout(20, () => told++)
    s.on('timeout', () => told++)
    expect(s.timeout).toBe(20)
    await once(s, 'timeout')
    expect(told).toBe(2)
    a.write('x')
    await once(s, 'data')
    await once(s, 'timeout')
    expect(told).toBe(3)
    s.setTimeout(0)
    expect(s.destroyed).toBe(false)
    expect(() => s.setTimeout(-1)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    expect(() => s.setTimeout('1' as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    )
  })

  test('bytes put the timeout off', async () => {
    const [a, b] = await pair()
    const s = b.stream()
    s.resume()
    const start = performance.now()
    s.setTimeout(60)
    let last = start
    const timer = setInterval(() => {
      if (last - start > 150) return
      last = performance.now()
      a.write('x')
    }, 5)
    await once(s, 'timeout')
    clearInterval(timer)
    expect(performance.now() - start).toBeGreaterThan(59)
    expect(s.bytesRead).toBeGreaterThan(0)
  })

  test('addresses are as net.Socket gives them', async () => {
    const [a, b] = await pair()
    const s = b.stream()
    expect(s.address()).toEqual({ address: '127.0.0.1', family: 'IPv4', port: a.remotePort })
    expect([s.remoteAddress, s.remotePort, s.remoteFamily]).toEqual([
      '127.0.0.1',
      a.localPort,
      'IPv4',
    ])
    expect([s.pending, s.connecting, s.readyState]).toEqual([false, false, 'open'])
    const [c] = await pair(`unix://@netvc-stream-${String(process.pid)}-${String(threads)}`)
    const unix = c.stream()
    expect(unix.address()).toEqual({})
    expect(unix.remoteAddress).toBeUndefined()
  })

  test('detach() gives back the connection, and all that was not consumed', async () => {
    const [a, b] = await pair()
    const s = b.stream()
    if (threads > 0) {
      expect(() => s.detach()).toThrow(expect.objectContaining({ code: 'ERR_BUFFER_BUSY' }))
      return
    }
    const [c, d] = await pair()
    a.write('GET / upgrade')
    const [head] = (await once(s, 'data')) as [Buffer]
    s.pause()
    const long = pattern(300_000)
    a.write(long)
    await eventually(() => b.inspect()!.read.enabled === false, 'bytes wait everywhere')
    const back = s.detach(head.subarray(6))
    expect([back, s.destroyed, b.closed]).toEqual([b, true, false])
    const joined = tunnel(back, c)
    const expected = Buffer.concat([Buffer.from('upgrade'), long])
    a.doIoShutdown('write')
    const other = d.stream()
    expect((await read(other)).equals(expected)).toBe(true)
    a.stream().resume()
    expect((await joined.closed).error).toBeUndefined()
    const again = (await pair())[0]
    again.stream().destroy()
    expect(() => again.stream().detach()).toThrow(
      expect.objectContaining({ code: 'ERR_VC_CLOSED' }),
    )
  })

  test('detach() tells no listener what is to come again', async () => {
    if (threads > 0) return
    const [a, b] = await pair()
    const s = b.stream()
    const told: string[] = []
    s.on('data', (bytes: Buffer) => told.push(bytes.toString()))
    a.write('one')
    await eventually(() => told.length === 1, 'one')
    s.pause()
    a.write('two')
    await eventually(() => s.readableLength === 3, 'two waits in the stream')
    const next = s.detach().stream()
    expect(told).toEqual(['one'])
    expect(String(await once(next, 'data'))).toBe('two')
  })

  test('options that are wrong are named', async () => {
    const [a] = await pair()
    expect(() => a.stream({ allowHalfOpen: 1 as never })).toThrow(/options.allowHalfOpen/)
    a.doIoClose()
    expect(() => a.stream()).toThrow(expect.objectContaining({ code: 'ERR_VC_CLOSED' }))
  })

  test('an AbortSignal destroys it', async () => {
    const [a] = await pair()
    const controller = new AbortController()
    const s = a.stream({ signal: controller.signal })
    controller.abort()
    const [error] = (await once(s, 'error')) as [Error]
    expect(error.name).toBe('AbortError')
  })

  test('a process with only unref’ed streams ends', async () => {
    const script = `
      const reactor = new Reactor({ threads })
      let accept
      const accepted = new Promise((resolve) => (accept = resolve))
      const listener = await reactor.listen('tcp://127.0.0.1:0', accept)
      const client = await reactor.connect(listener.addresses[0])
      const server = await accepted
      await listener.close()
      server.stream().unref()
      client.stream().on('data', () => {}).unref()
      console.log('there')`
    const { code, stdout } = await runChild(script, { threads })
    expect([code, stdout]).toEqual([0, 'there\n'])
  })

  test('ref() takes that back', async () => {
    const script = `
      const reactor = new Reactor({ threads })
      let accept
      const accepted = new Promise((resolve) => (accept = resolve))
      const listener = await reactor.listen('tcp://127.0.0.1:0', accept)
      const client = await reactor.connect(listener.addresses[0])
      const s = (await accepted).stream().unref().ref()
      await listener.close()
      client.stream().unref()
      setTimeout(() => { console.log('alive'); s.destroy() }, 50).unref()`
    const { code, stdout } = await runChild(script, { threads })
    expect([code, stdout]).toEqual([0, 'alive\n'])
  })
})
