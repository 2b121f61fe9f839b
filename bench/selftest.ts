// node build/tools/bench/selftest.js [folder of netvc_loadgen] - does the generator notice errors?
//
// It drives servers that break the stream in one way each and expects a failed run,
// and one correct server and expects a good one. A measurement that cannot fail is
// worth nothing.

import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LoadFailed, runLoad } from './harness/loadgen.js'
import { killAll, startServer } from './harness/processes.js'

const here = dirname(fileURLToPath(import.meta.url))
const faults = [
  'flip one bit',
  'lose one byte',
  'lose a message',
  'send a message twice',
  'answer on another connection',
  'reset',
  'close early',
]

const nativeFolder = [process.argv[2], 'build/bench', 'build/optimized/bench', 'build/dev/bench']
  .filter((folder) => folder !== undefined)
  .map((folder) => resolve(folder))
  .find((folder) => existsSync(join(folder, 'netvc_loadgen')))
if (nativeFolder === undefined) {
  console.error('netvc_loadgen not found; pass its folder')
  process.exit(1)
}
const loadgen = join(nativeFolder, 'netvc_loadgen')

/** What the generator said about a server with this fault: a complaint, or that all is well. */
async function complaintAbout(fault: string): Promise<string | undefined> {
  const server = await startServer(
    [process.execPath, join(here, 'peers', 'faulty-echo.js'), '--fault', fault],
    -1,
  )
  try {
    await runLoad(loadgen, [
      ...['echo', '--target', server.address, '--connections', '8', '--outstanding', '4'],
      ...['--seconds', '0.3', '--warmup', '0.1'],
    ])
    return undefined
  } catch (error) {
    if (error instanceof LoadFailed) return error.message
    throw error
  } finally {
    await server.stop()
  }
}

process.on('exit', killAll)
let wrong = 0
for (const fault of ['none', ...faults]) {
  const complaint = await complaintAbout(fault)
  const right = (complaint === undefined) === (fault === 'none')
  if (!right) wrong++
  console.log(`${right ? 'ok  ' : 'BAD '} ${fault}: ${complaint ?? 'accepted'}`)
}
process.exitCode = wrong > 0 ? 1 : 0
