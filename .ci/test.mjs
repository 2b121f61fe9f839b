// npm test:          node .ci/test.mjs                C++ unit tests, then the JS tests
// npm run test:late: node .ci/test.mjs late           both, with threads that are late at random
// npm run test:asan: node .ci/test.mjs native asan    C++ unit and stress tests, sanitized
// One part alone, or a file: node .ci/test.mjs js close   (further words go to vitest or ctest)
import { buildNative, buildPreset, buildTools, buildTypeScript } from './build.mjs'
import { missing, need, program } from './needs.mjs'
import { asanAddonEnv, fail, fixedAddresses, root, run, sanitizerEnv, say } from './tools.mjs'

const words = process.argv.slice(2)
const take = (...names) => (names.includes(words[0]) ? words.shift() : undefined)
const late = take('late') !== undefined
const part = take('native', 'js', 'stress')
const variant = take('asan', 'tsan', 'kqueue')

async function testNative(more = {}) {
  const preset = variant ?? 'native-tests'
  // Plain `npm test` leaves the stress tests to the sanitizers and to `npm run test:stress`.
  const label = variant ? undefined : part === 'stress' ? 'netvc_stress' : 'netvc_unit'
  const programs = { netvc_stress: ['netvc_stress', 'netvc_soak'], netvc_unit: ['netvc_unit'] }
  await buildPreset(preset, programs[label] ?? ['netvc_tests'])
  say(`C++ tests (${preset})`)
  const args = ['--test-dir', `build/${preset}`, '-j', process.env.JOBS ?? '2']
  args.push('--output-on-failure', '--no-tests=error')
  if (label) args.push('-L', `^${label}$`)
  if (words.length) args.push('-R', words.join('|'))
  const chatter = /^Internal ctest|^Test project|^\s*Start\s+\d+:|Passed\s+[\d.]+ sec$|^\s*$/
  const keep = (line) => !chatter.test(line)
  await run(...fixedAddresses(variant, program('ctest'), args), {
    env: { ...sanitizerEnv, ...more },
    keep,
  })
}

async function testJs(more = {}) {
  let env = more
  if (variant === 'asan') {
    await buildPreset('asan', ['netvc'])
    const addon = asanAddonEnv()
    if (more.LD_PRELOAD) addon.LD_PRELOAD += `:${more.LD_PRELOAD}`
    env = { ...more, ...sanitizerEnv, ...addon }
  } else if (variant) {
    fail(`the JS tests do not run with ${variant}`)
  } else {
    await buildNative()
  }
  await buildTypeScript()
  await buildTools()
  say(variant ? `JS tests (${variant} addon)` : 'JS tests')
  await vitest(words, env)
  if (words.length) return
  // What is said of connections, once more of those that have no socket (INV-21).
  const suites = ['vc', 'vio', 'tunnel', 'state', 'streams', 'write'].map(
    (suite) => `test/js/${suite}/`,
  )
  say('JS tests of connections, on pairs')
  await vitest(suites, { ...env, NETVC_TEST_PAIRS: '1' })
}

/**
 * vitest runs files beside each other in processes; but under a sanitizer it has one process, where
 * one file follows the other (vitest.config.ts). There the files are dealt to processes here, two
 * at a time: many, so that none is alone at the end.
 */
async function vitest(filters, env) {
  const args = ['node_modules/vitest/vitest.mjs', 'run', ...filters]
  const shards = variant && !words.length ? 8 : 1
  if (shards === 1) return run(...fixedAddresses(variant, process.execPath, args), { env })
  let next = 1
  let failed = 0
  const lane = async () => {
    while (next <= shards) {
      const shard = `--shard=${next++}/${shards}`
      const all = fixedAddresses(variant, process.execPath, [...args, shard])
      if (!(await run(...all, { env, whole: true, soft: true }))) failed++
      say(`${shard.slice(2)} of the JS tests is through`)
    }
  }
  await Promise.all([lane(), lane()])
  if (failed) fail(`${failed} of ${shards} parts of the JS tests failed`)
}

/** A pass for each kind of lateness: test/native/late/late.cc says what they are. */
async function testLate() {
  if (process.platform !== 'linux') fail('test:late needs Linux')
  await buildPreset('native-tests', ['netvc_late'])
  const kinds = process.env.NETVC_LATE?.split(',') ?? ['others:20000', 'main:20000']
  const seed = process.env.NETVC_SEED ?? String(Date.now() % 2 ** 32)
  for (const kind of kinds) {
    say(`late: NETVC_LATE=${kind} NETVC_SEED=${seed}`)
    const library = `${root}build/native-tests/test/native/libnetvc_late.so`
    const env = { LD_PRELOAD: library, NETVC_LATE: kind, NETVC_SEED: seed }
    // Most C++ tests turn a loop on their first thread, thousands of times, and hardly have others.
    if (part !== 'js' && !kind.startsWith('main')) await testNative(env)
    if (part !== 'native') await testJs(env)
  }
}

// All that is needed is checked first, so that nothing is found missing after minutes of building.
need('compiler', 'make', 'python')
const noPrograms = missing('cmake', 'ninja', 'doctest')
// Of everything, a part that cannot run here is left out, except where CI counts on it.
const leftOut = part === undefined && !variant && !late && !process.env.CI && noPrograms
if (leftOut) say(`C++ tests skipped: ${noPrograms}`)
else if (noPrograms && (part !== 'js' || variant || late)) fail(noPrograms)
if (late) {
  await testLate()
} else {
  if (part !== 'js' && !leftOut) await testNative()
  if (part === undefined || part === 'js') await testJs()
}
