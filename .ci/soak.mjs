// npm run soak -- [--minutes N] [--seed S] [--rounds N] [--engine native|js|fuzz] [--variant asan|tsan]
// Random things done to the engine for as long as one likes, under the sanitizers: the C++ program
// of test/native/soak with asan and with tsan, test/js/soak on both engines with the asan addon, and
// with it the fuzzer of the public API, test/js/fuzz.
// A round is decided by its seed; a failure names it, and the command that plays it again.
import { parseArgs } from 'node:util'
import { buildPreset, buildTools, buildTypeScript } from './build.mjs'
import { need } from './needs.mjs'
import { asanAddonEnv, fail, fixedAddresses, run, sanitizerEnv, say } from './tools.mjs'

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    rounds: { type: 'string' },
    until: { type: 'string' }, // of the fuzzer: so many steps of each thread
    engine: { type: 'string' },
    variant: { type: 'string' },
  },
})
for (const name of ['minutes', 'seed', 'rounds', 'until']) {
  if (flags[name] !== undefined && !(Number(flags[name]) >= 0)) fail(`--${name} takes a number`)
}
const progressMs = 5000
const graceSeconds = 240 // for the last round; then it hangs

const parts = ['native asan', 'native tsan', 'js asan', 'fuzz asan'].filter((part) => {
  const [engine, variant] = part.split(' ')
  return [undefined, engine].includes(flags.engine) && [undefined, variant].includes(flags.variant)
})
if (!parts.length) fail('--engine is native, js or fuzz, --variant asan or (native) tsan')

/** Seconds of a part: native, js and fuzz get the same. */
function share(part) {
  const sameEngine = parts.filter((other) => other.split(' ')[0] === part.split(' ')[0]).length
  const engines = new Set(parts.map((other) => other.split(' ')[0])).size
  return Math.max(1, Math.round((Number(flags.minutes ?? 5) * 60) / engines / sameEngine))
}

const number = (n) => n.toLocaleString('en-US')
function summary(t) {
  if (t.calls !== undefined)
    return `${number(t.rounds)} rounds, ${number(t.calls)} calls and events`
  const tunnels = Object.entries(t.tunnels).filter(([, n]) => n > 0)
  const known = {
    rounds: t.rounds,
    connections: t.connections + t.accepted,
    MB: Math.round(t.bytes / 1e6),
    messages: t.messages,
    timeouts: t.inactivity + t.active,
    'refused or unanswered': t.refused + t.connectTimeouts + t.cancelled,
    migrations: t.migrations,
    resets: t.resets,
    exceptions: t.thrown,
  }
  const words = Object.entries(known).filter(([, n]) => n !== undefined)
  return (
    words.map(([what, n]) => `${number(n)} ${what}`).join(', ') +
    `; tunnels: ${tunnels.map(([how, n]) => `${number(n)} ${how}`).join(', ')}`
  )
}

async function soak(part) {
  const [engine, variant] = part.split(' ')
  const seconds = share(part)
  const timed = flags.rounds === undefined || flags.minutes !== undefined
  let command
  let env = { ...sanitizerEnv, NETVC_SEED: flags.seed }
  if (engine === 'native') {
    command = [`build/${variant}/test/native/netvc_soak`, []]
    if (timed) env.NETVC_SOAK_SECONDS = String(seconds)
    if (flags.rounds) env.NETVC_SOAK_ROUNDS = flags.rounds
  } else {
    const program = engine === 'js' ? 'soak/soak.js' : 'fuzz/fuzz.js'
    const args = ['--expose-gc', `build/tools/test/js/${program}`, '--seed', flags.seed]
    if (engine === 'fuzz' && flags.until) args.push('--until', flags.until)
    if (timed) args.push('--seconds', String(seconds))
    if (flags.rounds) args.push('--rounds', flags.rounds)
    command = [process.execPath, args]
    env = { ...env, ...asanAddonEnv() }
  }
  say(`${part}: seed ${flags.seed}, ${timed ? `${seconds} s` : `${flags.rounds} rounds`}`)
  let seed = flags.seed
  let totals
  const keep = (line) => {
    const [word, rest] = line.split(/ (.*)/s)
    if (word === 'round') seed = rest
    else if (word === 'sofar') totals = JSON.parse(rest)
    else return !/^(\[doctest\] (doctest version|run with)|setting )/.test(line)
    return false
  }
  const progress = setInterval(
    () => say(`${part}, in round ${seed}: ${totals ? summary(totals) : 'the first'}`),
    progressMs,
  )
  const limit = ['-k', '10', String(seconds + graceSeconds)]
  const [program, args] = fixedAddresses(variant, ...command)
  const good = await run('timeout', [...limit, program, ...args], { env, keep, soft: true })
  clearInterval(progress)
  const again = `npm run soak -- --engine ${engine} --variant ${variant} --seed ${seed} --rounds 1`
  if (!good) fail(`${part}: failed in round ${seed}; again: ${again}`)
  say(`${part}: passed; ${summary(totals)}`)
}

need('compiler', 'cmake', 'ninja', 'doctest')
for (const variant of ['asan', 'tsan']) {
  const targets = []
  if (parts.includes(`native ${variant}`)) targets.push('netvc_soak')
  if (parts.some((part) => /^(js|fuzz) /.test(part) && part.endsWith(variant)))
    targets.push('netvc')
  if (targets.length) await buildPreset(variant, targets)
}
if (parts.some((part) => part === 'js asan' || part === 'fuzz asan')) {
  await buildTypeScript()
  await buildTools()
}
for (const part of parts) await soak(part)
