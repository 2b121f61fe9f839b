import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { onBothEngines } from '../support/engines.js'

// What is open keeps the process alive, until it is closed or the reactor is unref'ed (INV-27).

const root = fileURLToPath(new URL('../../..', import.meta.url))
let child: ChildProcess | undefined
afterEach(() => {
  child?.kill('SIGKILL')
  child = undefined
})

/** A child that does as its clients say, and tells its port first. Nothing else keeps it alive. */
async function start(threads: number, commands: string) {
  const script = `
    import { Reactor, MIOBuffer, VCEvent } from 'netvc'
    process.on('exit', (code) => console.log('exit'))
    const reactor = new Reactor({ threads: ${String(threads)} })
    const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => {
      const buffer = new MIOBuffer(), reader = buffer.allocReader()
      vc.doIoRead((event) => {
        if (event !== VCEvent.READ_READY) return vc.doIoClose()
        const text = reader.read().toString()
        vc.write('done ' + text)
        commands[text]?.(vc)
      }, Infinity, buffer)
    })
    const commands = { ${commands} }
    console.log(listener.addresses[0].split(':').at(-1))`
  const args = ['--input-type=module', '--eval', script]
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit']
  const started = spawn(process.execPath, args, { cwd: root, stdio })
  child = started
  const ended = once(started, 'close')
  const lines: string[] = []
  const input = createInterface(started.stdout).on('line', (line) => lines.push(line))
  const [port] = (await once(input, 'line')) as [string]
  /** Sends a command and answers with what came back until the connection ended, if it does. */
  const say = async (text: string) => {
    const socket = connect(Number(port), '127.0.0.1').setEncoding('utf8')
    socket.on('error', () => {}) // the child may be gone before the socket is
    socket.write(text)
    const [answer] = (await once(socket, 'data')) as [string]
    return { answer, socket }
  }
  return { child: started, ended, lines, say }
}

describe('a process stays alive', () => {
  onBothEngines((threads) => {
    test('with a listener, until it is closed (INV-27)', async () => {
      const { ended, say, lines } = await start(threads, 'stop() { listener.close() }')
      for (let i = 0; i < 20; i++) {
        const { answer, socket } = await say(`hello ${String(i)}`)
        expect(answer).toBe(`done hello ${String(i)}`)
        socket.end()
        await once(socket, 'close')
      }
      const { answer, socket } = await say('stop')
      expect(answer).toBe('done stop')
      // The connection is open, and so is the process: it still answers.
      socket.write('more')
      expect(await once(socket, 'data')).toEqual(['done more'])
      expect(lines).not.toContain('exit')
      socket.end()
      expect(await ended).toEqual([0, null])
    })

    test('with a listener, until somebody kills it (INV-27)', async () => {
      const { child, ended, say } = await start(threads, '')
      expect((await say('hello')).answer).toBe('done hello')
      child.kill('SIGTERM')
      expect(await ended).toEqual([null, 'SIGTERM'])
    })

    test('with a listener, until the reactor is unref()ed (INV-27)', async () => {
      const { ended, say } = await start(threads, 'stop() { reactor.unref() }')
      expect((await say('hello')).answer).toBe('done hello')
      void say('stop').catch(() => {})
      expect(await ended).toEqual([0, null])
    })

    test('after unref() and ref() again (INV-27)', async () => {
      const { ended, say } = await start(
        threads,
        'again() { reactor.unref(); reactor.ref() }, stop() { reactor.close() }',
      )
      expect((await say('again')).answer).toBe('done again')
      expect((await say('hello')).answer).toBe('done hello')
      void say('stop').catch(() => {})
      expect(await ended).toEqual([0, null])
    })

    test('with a connection alone, until that is closed (INV-27)', async () => {
      const { ended, say } = await start(
        threads,
        'stop() { listener.close() }, bye(vc) { vc.doIoClose() }',
      )
      const { socket } = await say('stop')
      for (let i = 0; i < 20; i++) {
        socket.write(`hello ${String(i)}`)
        expect(await once(socket, 'data')).toEqual([`done hello ${String(i)}`])
      }
      socket.write('bye')
      expect(await ended).toEqual([0, null])
    })
  })
})
