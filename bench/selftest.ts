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
interface Kind {
  peer: string
  load: string[]
  faults: string[]
}

const kinds: Kind[] = [
  {
    peer: 'faulty-echo',
    load: ['echo', '--outstanding', '4'],
    faults: [
      'flip one bit',
      'lose one byte',
      'lose a message',
      'send a message twice',
      'answer on another connection',
      'reset',
      'close early',
    ],
  },
  {
    peer: 'faulty-http',
    load: ['http'],
    faults: [
      'another body',
      'a longer body',
      'lose an answer',
      'answer twice',
      'a byte too many',
      'not a 200',
      'close early',
    ],
  },
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
async function complaintAbout({ peer, load }: Kind, fault: string): Promise<string | undefined> {
  const server = await startServer(
    [process.execPath, join(here, 'peers', `${peer}.js`), '--fault', fault],
    -1,
  )
  try {
    await runLoad(loadgen, [
      ...[...load, '--target', server.address, '--connections', '8'],
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
for (const kind of kinds) {
  for (const fault of ['none', ...kind.faults]) {
    const complaint = await complaintAbout(kind, fault)
    const right = (complaint === undefined) === (fault === 'none')
    if (!right) wrong++
    console.log(`${right ? 'ok  ' : 'BAD '} ${kind.load[0]}, ${fault}: ${complaint ?? 'accepted'}`)
  }
}
process.exitCode = wrong > 0 ? 1 : 0
