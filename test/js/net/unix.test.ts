import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import type nodeNet from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import netvcNet from 'netvc/net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asNode, keep, type Net } from './control.js'

// Paths and names of unix sockets: codes, messages, what is left behind.

let folder: string
const before = process.cwd()
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'netvc-unix-'))
  process.chdir(folder)
  mkdirSync('sub')
  writeFileSync('file', 'precious')
  symlinkSync('file', 'link')
  symlinkSync('nowhere', 'dangling')
  symlinkSync('loop', 'loop')
})
afterAll(() => {
  process.chdir(before)
  rmSync(folder, { recursive: true })
})

const shown = (error: Error) => ({ ...error, message: error.message, name: error.name })
const kindOf = (file: string) => {
  try {
    const { mode } = statSync(file)
    return mode
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}

function listening(net: Net, options: nodeNet.ListenOptions): Promise<unknown> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.on('error', (error) => resolve(shown(error)))
    try {
      server.listen(options, () => {
        const during = kindOf(options.path!)
        const address = server.address()
        server.close(() => resolve([address, during, kindOf(options.path!)]))
      })
    } catch (error) {
      resolve(['thrown', (error as NodeJS.ErrnoException).code])
    }
  })
}

function connecting(net: Net, options: nodeNet.NetConnectOpts): Promise<unknown> {
  return new Promise((resolve) => {
    const socket = keep(net.connect(options))
    socket.on('connect', () => resolve('connected'))
    socket.on('error', (error) => resolve(shown(error)))
  })
}

const paths = [
  ...['sock', './sock', 'sub/sock', '../sub', '@name', 'sub/@name', 'ünï', ' ', '+5x', '12x'],
  ...['missing/sock', 'file/sock', 'file', 'sub', 'sub/', '.', '/', 'link', 'dangling'],
  ...['loop', 'loop/x', '\0abstract', '\0'],
]

describe.each(paths)('as Node: %j', (name) => {
  test('listen', () => asNode((net) => listening(net, { path: name })))
  test('connect', () => asNode((net) => connecting(net, { path: name })))
})

test.each([{ readableAll: true }, { writableAll: true }, { readableAll: true, writableAll: true }])(
  'rights: %j',
  async (rights) => {
    await asNode((net) => listening(net, { path: 'sock', ...rights }))
    await asNode((net) => listening(net, { path: '\0abstract', ...rights }))
  },
)

test('an empty path is none', () => asNode((net) => connecting(net, { path: '' })))

// Node 20 cuts what is too long; later ones refuse it, as we do.
test.each([
  [107, false, true],
  [108, false, false],
  [300, false, false],
  [108, true, true], // the first byte is a zero, and there is none behind the name
  [109, true, false],
])('a name of %i bytes, abstract: %s, fits: %s', async (length, isAbstract, fits) => {
  const net = netvcNet
  const name = (isAbstract ? '\0' : '').padEnd(length, 'n')
  const refused = { code: 'EINVAL', syscall: 'connect', errno: -22, address: name }
  expect(await connecting(net, { path: name })).toMatchObject(
    fits ? { code: isAbstract ? 'ECONNREFUSED' : 'ENOENT' } : refused,
  )
  if (!fits) {
    expect(await listening(net, { path: name })).toMatchObject({ code: 'EINVAL' })
    return
  }
  const server = keep(net.createServer().listen(name))
  expect(await connecting(net, { path: name })).toBe('connected')
  expect(server.address()).toBe(name)
})
