// The soak of the JavaScript side: rounds of random things done to everything at once. npm run soak
// runs it; a short version is part of the tests.
//   node build/tools/test/js/soak/soak.js [--seed S] [--rounds N] [--seconds N] [--threads 0,2]
// A round is named by its seed, which decides what is done; the next one's is one more. In which
// order threads and sockets do it is up to the system, so a failure may take more than one replay.
import { inspect, parseArgs } from 'node:util'
import { Reactor } from 'netvc'
import { openDescriptors } from '../support/descriptors.js'
import { pick, random } from '../support/pattern.js'
import { violations } from '../support/recorder.js'
import { actors, casting } from './actors.js'
import { eventually, must, newTotals, Thrown, turn, World } from './world.js'

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    threads: { type: 'string', default: '0,2' },
    actors: { type: 'string', default: '120' },
  },
})
const patience = 60_000

const probe = new Reactor()
const totals = newTotals()
let caught = 0

/** Ends the process without a look for leaks, which would only find what V8 still holds. */
function failed(what: unknown): never {
  console.log(`failed ${what instanceof Error ? (what.stack ?? what.message) : String(what)}`)
  for (const violation of violations) console.log(`  ${violation}`)
  process.kill(process.pid, 'SIGKILL')
  throw what
}
process.on('uncaughtException', (error) => {
  if (error instanceof Thrown) caught++
  else failed(error)
})
process.on('unhandledRejection', failed)

const held = () => {
  const { connections, messages, blocks, buffers } = probe.stats()
  return { connections, messages, blocks, buffers, descriptors: openDescriptors().length }
}

async function round(seed: number, threads: number): Promise<void> {
  const before = held()
  const next = random(seed)
  const world = await World.open(threads, seed, totals)
  const open = new Map<string, Promise<void>>()
  const wrong: string[] = []
  for (let i = 0; i < Number(flags.actors); i++) {
    const role = pick(next, casting)
    const name = `${role} ${String(i)}`
    const own = random(Math.floor(next() * 2 ** 31))
    const played = actors[role](world, own).then(
      () => open.delete(name),
      (error: unknown) =>
        wrong.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`),
    )
    open.set(
      name,
      played.then(() => {}),
    )
    if (pick(next, [0, 0, 1])) await turn()
  }
  const timer = setTimeout(() => {
    console.log(inspect(world.reactor.connections(), { depth: 3 }))
    failed(`not through in time: ${[...open.keys()].join(', ')}; ${wrong.join('; ')}`)
  }, patience)
  await Promise.all(open.values())
  clearTimeout(timer)
  must(wrong.length === 0, wrong.join('\n'))
  await world.close()
  must(violations.length === 0, 'violations')
  await eventually(
    () => caught === totals.thrown,
    () => `${String(totals.thrown)} exceptions arrive, not ${String(caught)}`,
  )
  await eventually(
    () => Object.entries(held()).every(([what, n]) => n <= before[what as keyof typeof before]),
    () => `all is given back: ${JSON.stringify(before)}, ${JSON.stringify(held())}`,
  )
  totals.rounds++
}

const first = Number(flags.seed)
const engines = flags.threads.split(',').map(Number)
const rounds = flags.rounds === undefined ? Infinity : Number(flags.rounds)
const end = flags.seconds === undefined ? Infinity : Date.now() + 1000 * Number(flags.seconds)
must(rounds < Infinity || end < Infinity, '--rounds or --seconds is needed')
for (let i = 0; i < rounds && Date.now() < end; i++) {
  const seed = first + i
  console.log(`round ${String(seed)}`)
  for (const threads of engines) await round(seed, threads).catch(failed)
  console.log(`sofar ${JSON.stringify(totals)}`)
}
