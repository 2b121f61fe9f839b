import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runChild } from '../support/child.js'
import { engines } from '../support/engines.js'

// The system refuses memory for bytes: whoever asked for more hears ENOMEM, what was accepted is
// delivered, and the process goes on when there is memory again. V8 does not live without memory,
// so a library in front of mmap() refuses only what blocks are cut from.

const refuser = `
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset) {
  static void *(*real)(void *, size_t, int, int, int, off_t);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "mmap");
  const char *none = getenv("NO_MEMORY");
  if (none && *none && !at && prot == (PROT_READ | PROT_WRITE) && flags == (MAP_PRIVATE | MAP_ANONYMOUS) && n % 65536 == 0) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return real(at, n, prot, flags, fd, offset);
}
`
let folder: string
let library: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'netvc-memory-'))
  library = path.join(folder, 'refuser.so')
  const source = path.join(folder, 'refuser.c')
  writeFileSync(source, refuser)
  const more = ['-D_GNU_SOURCE', '-shared', '-fPIC', '-o', library, source, '-ldl']
  execFileSync('gcc', more, { stdio: 'inherit' })
})
afterAll(() => rmSync(folder, { recursive: true }))

const prelude = `
const piece = Buffer.alloc(1e6, 'x')
/** How often it has worked before it failed, and how it has. */
const ask = (act) => {
  let n = 0
  for (; n < 30; ++n) act()
  process.env.NO_MEMORY = '1'
  try {
    for (; n < 1000; ++n) act()
    return [n, undefined]
  } catch ({ code, syscall, errno }) {
    return [n, JSON.stringify({ code, syscall, errno })]
  } finally {
    process.env.NO_MEMORY = ''
  }
}
`
const run = (script: string, threads: number) =>
  runChild(prelude + script, { threads, env: { LD_PRELOAD: library, NO_MEMORY: '' } })
const enomem = (syscall: string) => JSON.stringify({ code: 'ENOMEM', syscall, errno: -12 })

// A sanitizer's runtime has to come first.
describe.skipIf(process.platform !== 'linux' || process.env.NETVC_SANITIZE)('no memory', () => {
  describe.each(engines)('$engine', ({ threads }) => {
    const writes = ['vc.write(piece)', 'vc.write([piece])', 'vc.write(piece, {})']
    test.each(writes)('%s', async (write) => {
      const result = await run(
        `
        const reactor = new Reactor({ threads })
        let server
        const listener = await reactor.listen('tcp://127.0.0.1:0', (vc) => (server = vc))
        const vc = await reactor.connect(listener.addresses[0])
        vc.maxUnwritten = 2e9
        vc.setWriteMarks(2e9)
        const [n, error] = ask(() => ${write})
        console.log(error)
        let got = 0
        const buffer = new MIOBuffer(), reader = buffer.allocReader()
        while (!server) await new Promise(setImmediate)
        server.doIoRead((event) => {
          const here = reader.readAvail
          got += here
          reader.consume(here)
          if (event === VCEvent.EOS) {
            console.log(got - n * 1e6)
            server.doIoClose()
            void reactor.close()
          }
        }, Infinity, buffer)
        vc.write('last')
        await vc.drained()
        vc.doIoClose()
        `,
        threads,
      )
      expect(result).toMatchObject({ code: 0, stderr: '' })
      expect(result.stdout).toBe(`${enomem('write')}\n4\n`)
    })

    // Those of one turn are sent together at its end, when nobody is there to hear of it any more.
    test('a message that was collected in its turn: the connection fails', async () => {
      const result = await run(
        `
        const reactor = new Reactor({ threads })
        const listener = await reactor.listen('tcp://127.0.0.1:0', () => {})
        const vc = await reactor.connect(listener.addresses[0])
        vc.maxUnwritten = 2e9
        vc.setWriteMarks(2e9)
        const ended = new Promise((resolve) => sink(vc, (event) => resolve(VCEvent[event])))
        for (let i = 0; i < 40; ++i) vc.write(piece) // the kernel is full, whatever comes waits
        const small = Buffer.alloc(1000, 'y')
        const refused = new Set()
        process.env.NO_MEMORY = '1'
        for (let i = 0; i < 1e4 && refused.size === 0; ++i) {
          try {
            for (let n = 0; n < 100; ++n) vc.write(small)
          } catch ({ code, syscall }) {
            refused.add(code + ' ' + syscall)
          }
          await new Promise(setImmediate)
        }
        process.env.NO_MEMORY = ''
        console.log(await ended, vc.error?.code, ...refused)
        vc.doIoClose()
        await reactor.close()
        `,
        threads,
      )
      expect(result).toMatchObject({ code: 0, stderr: '' })
      expect(result.stdout).toBe('ERROR ENOMEM ENOMEM write\n')
    })
  })

  const adds: [string, string][] = [
    ['write', 'buffer.write(piece)'],
    ['reserve', 'buffer.fill(buffer.reserve().length)'],
  ]
  test.each(adds)('a buffer: %s', async (name, call) => {
    const result = await run(
      `
      const buffer = new MIOBuffer(), reader = buffer.allocReader()
      let added = 0, n
      const act = () => {
        for (let i = 0; i < 50; ++i) {
          n = reader.readAvail
          ${call}
          added += reader.readAvail - n
        }
      }
      const [, error] = ask(${name === 'write' ? `() => ${call}` : 'act'})
      const left = reader.readAvail
      console.log(error, ${name === 'write'} || left === added)
      reader.consume(left)
      console.log(buffer.write('more'), reader.read().toString())
      `,
      0,
    )
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(result.stdout).toBe(`${enomem(name)} true\n4 more\n`)
  })
})
