import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { temporaryDirectory } from '../support/addresses.js'
import { onBothEngines } from '../support/engines.js'
import { patience } from '../support/patience.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** A project that has netvc in its node_modules. */
function runScript(name: string, script: string, threads = 0) {
  const file = path.join(temporaryDirectory(), name)
  writeFileSync(file, script)
  const env = { ...process.env, NODE_OPTIONS: '', THREADS: String(threads) }
  return spawnSync(process.execPath, [file], { encoding: 'utf8', env, timeout: patience })
}

describe('a CommonJS project', () => {
  beforeAll(() => {
    const modules = path.join(temporaryDirectory(), 'node_modules')
    mkdirSync(modules)
    symlinkSync(root, path.join(modules, 'netvc'), 'dir')
  })

  onBothEngines((threads) => {
    test('works with require()', () => {
      const script = `
        const { Reactor, MIOBuffer, VCEvent } = require('netvc')
        const reactor = new Reactor({ threads: Number(process.env.THREADS) })
        const read = (vc, handler) => {
          const buffer = new MIOBuffer(), reader = buffer.allocReader()
          vc.doIoRead((event) => handler(event, reader.read().toString()), Infinity, buffer)
        }
        const echo = (vc) => read(vc, (event, text) => event === VCEvent.READ_READY && vc.write(text))
        reactor.listen('tcp://127.0.0.1:0', echo).then(async (listener) => {
          const vc = await reactor.connect(listener.addresses[0])
          read(vc, (event, text) => {
            console.log(VCEvent[event], text)
            reactor.close()
          })
          vc.write('hello')
        })`
      const { status, signal, stdout } = runScript('echo.cjs', script, threads)
      expect({ status, signal, stdout }).toEqual({
        status: 0,
        signal: null,
        stdout: 'READ_READY hello\n',
      })
    })
  })

  test('has the same classes and the same addon with require() and import()', () => {
    const script = `
      const required = require('netvc')
      import('netvc').then(async (imported) => {
        const names = Object.keys(imported).filter((name) => imported[name] !== required[name])
        const missing = Object.keys(imported).filter((name) => !(name in required))
        const buffer = new required.MIOBuffer()
        const same = buffer instanceof imported.MIOBuffer
        const error = await new imported.Reactor().connect('tcp://127.0.0.1:0').catch((e) => e)
        const loaded = Object.keys(require.cache).filter((file) => file.endsWith('.node')).length
        console.log(JSON.stringify([names, missing, same, error instanceof required.NetvcError, loaded]))
      })`
    const { status, stdout } = runScript('both.cjs', script)
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toEqual([[], [], true, true, 1])
  })

  test('an ES module that requires it as well has one netvc', () => {
    const script = `
      import { createRequire } from 'node:module'
      import { Reactor } from 'netvc'
      console.log(createRequire(import.meta.url)('netvc').Reactor === Reactor)`
    const { status, stdout } = runScript('both.mjs', script)
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'true\n' })
  })

  test('require() of package.json works, of inner files does not', () => {
    const script = `
      console.log(require('netvc/package.json').name)
      try { require('netvc/dist/native.js') } catch (error) { console.log(error.code) }`
    const { stdout } = runScript('inner.cjs', script)
    expect(stdout).toBe('netvc\nERR_PACKAGE_PATH_NOT_EXPORTED\n')
  })
})
