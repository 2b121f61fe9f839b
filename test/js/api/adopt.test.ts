import { execFileSync } from 'node:child_process'
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import path from 'node:path'
import type { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { temporaryDirectory, unixPath } from '../support/addresses.js'
import { endsWell, startChild } from '../support/child.js'
import { onBothEngines } from '../support/engines.js'
import { eventually, useWorld } from '../support/fixture.js'
import { pattern } from '../support/pattern.js'

/** Both ends of a pipe, made by opening a fifo. */
function pipeEnds(): { read: number; write: number } {
  const file = unixPath()
  execFileSync('mkfifo', [file])
  const read = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  return { read, write: openSync(file, constants.O_WRONLY) }
}

const isOpen = (fd: number) => {
  try {
    fstatSync(fd)
    return true
  } catch {
    return false
  }
}

describe('Reactor.adopt (CN-8)', () => {
  onBothEngines((threads) => {
    const box = useWorld(threads)

    test('the reading end of a pipe: bytes, then EOS, and the descriptor is ours to close', async () => {
      const { world } = box
      const { read, write } = pipeEnds()
      const vc = await world.reactor.adopt(read)
      const { stream, recorder } = world.check(vc)
      writeSync(write, pattern(1000))
      closeSync(write)
      expect(await recorder.end()).toBe('EOS')
      expect(stream.count).toBe(1000)
      expect(vc.remoteAddress).toBe('')
      vc.doIoClose()
      await eventually(() => !isOpen(read), 'it is closed')
    })

    test('the writing end of a pipe', async () => {
      const { world } = box
      const { read, write } = pipeEnds()
      const vc = await world.reactor.adopt(write)
      vc.write(pattern(3000))
      await eventually(() => vc.writableLength === 0, 'all is written')
      const bytes = Buffer.alloc(4000)
      expect(readSync(read, bytes)).toBe(3000)
      expect(bytes.subarray(0, 3000).equals(pattern(3000))).toBe(true)
      vc.doIoClose()
      closeSync(read)
    })

    test('a socket, in both directions', async () => {
      const script = `
        const reactor = new Reactor({ threads })
        echo(await reactor.adopt(3))`
      const { child, result } = startChild(script, { threads, descriptors: ['pipe'] })
      const socket = child.stdio[3] as Duplex
      const bytes = pattern(100_000)
      socket.write(bytes)
      const chunks: Buffer[] = []
      let n = 0
      await new Promise<void>((resolve) => {
        socket.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          if ((n += chunk.length) === bytes.length) resolve()
        })
      })
      socket.end()
      expect(await result).toMatchObject(endsWell)
      expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
    })

    test('what cannot be polled is refused, and stays open and the caller’s', async () => {
      const { reactor } = box.world
      const fd = openSync(path.join(temporaryDirectory(), 'file'), 'w')
      await expect(reactor.adopt(fd)).rejects.toMatchObject({
        code: 'EPERM',
        address: `fd ${String(fd)}`,
      })
      expect(isOpen(fd)).toBe(true)
      expect(reactor.stats().open).toBe(0)
      closeSync(fd)
    })

    test('twice at once: one gets it, the other one is refused, and nothing else is closed', async () => {
      const { world } = box
      const { read, write } = pipeEnds()
      const first = world.reactor.adopt(read)
      await expect(world.reactor.adopt(read)).rejects.toMatchObject({
        code: 'ERR_DESCRIPTOR_IN_USE',
      })
      const vc = await first
      const { stream } = world.check(vc)
      writeSync(write, pattern(100))
      await eventually(() => stream.count === 100, 'it is read')
      vc.doIoClose()
      closeSync(write)
    })

    test('a descriptor that is not open: EBADF', async () => {
      await expect(box.world.reactor.adopt(9999)).rejects.toMatchObject({ code: 'EBADF' })
    })

    // Node closes at a worker's end what fs opened there and did not close.
    test('in a worker: a number that was adopted and used again is not closed with the worker (CN-8)', async () => {
      const file = unixPath()
      execFileSync('mkfifo', [file])
      const script = `
        import { closeSync, constants, fstatSync, openSync } from 'node:fs'
        import { Worker } from 'node:worker_threads'
        const worker = new Worker(\`
          import { closeSync, constants, openSync } from 'node:fs'
          import { parentPort } from 'node:worker_threads'
          import { Reactor } from 'netvc'
          const reactor = new Reactor({ threads: ${String(threads)} })
          const read = openSync('${file}', constants.O_RDONLY | constants.O_NONBLOCK)
          const vc = await reactor.adopt(read)
          parentPort.once('message', async () => {
            vc.doIoClose()
            await reactor.close()
          })
          parentPort.postMessage(read)
        \`, { eval: true, type: 'module' })
        const number = await new Promise((resolve) => worker.once('message', resolve))
        const opened = []
        while (!opened.includes(number)) opened.push(openSync('/dev/null'))
        const ended = new Promise((resolve) => worker.once('exit', resolve))
        worker.postMessage('close')
        console.log(await ended, fstatSync(number).isCharacterDevice())
        for (const fd of opened) closeSync(fd)`
      const { result } = startChild(script, { threads })
      expect(await result).toMatchObject({ ...endsWell, stdout: '0 true\n' })
    })

    test('reactor.close() right after: the promise and the descriptor agree', async () => {
      const { world } = box
      for (let i = 0; i < 10; i++) {
        const reactor = world.another()
        const { read, write } = pipeEnds()
        const pending = reactor.adopt(read).then(
          () => 'ours' as const,
          () => 'the caller’s' as const,
        )
        const closed = reactor.close()
        const owner = await pending
        await closed
        expect(isOpen(read)).toBe(owner !== 'ours')
        if (owner !== 'ours') closeSync(read)
        closeSync(write)
      }
    })
  })
})
