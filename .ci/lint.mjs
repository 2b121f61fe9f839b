// npm run lint: everything that can be judged without running it. npm run format (--fix) rewrites
// what is only a matter of format.
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { buildTypeScript } from './build.mjs'
import { checkIncludes } from './check-includes.mjs'
import { need } from './needs.mjs'
import { bin, fail, root, run, say } from './tools.mjs'

const fix = process.argv.includes('--fix')
const cxx = ['native', 'test/native', 'bench']
  .flatMap((dir) => list(dir))
  .filter((file) => /\.(cc|h)$/.test(file))

function list(dir) {
  if (!existsSync(path.join(root, dir))) return []
  const found = readdirSync(path.join(root, dir), { recursive: true, withFileTypes: true })
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
}

/** Runs one tool; the others run all the same, so that one round shows everything. */
async function judge(title, command, args) {
  say(title)
  if (!(await run(bin(command), args, { soft: true }))) failed.push(title)
}

need()
const failed = []
await judge('prettier', 'prettier', [fix ? '--write' : '--check', '--log-level', 'warn', '.'])
const dry = fix ? ['-i'] : ['--dry-run', '--Werror']
await judge(`clang-format, ${cxx.length} files`, 'clang-format', [...dry, ...cxx])
if (!fix) {
  // tsconfig.tools.json reads the declarations in dist/.
  await buildTypeScript()
  await judge('types of the tests', 'tsc', ['-p', 'tsconfig.test.json'])
  await judge('types of benches and examples', 'tsc', ['-p', 'tsconfig.tools.json', '--noEmit'])
  await judge('eslint', 'eslint', ['--max-warnings', '0', '.'])
  say('includes: the folders of native/ depend in one direction')
  const problems = checkIncludes()
  for (const problem of problems) console.error(problem)
  if (problems.length) failed.push('includes')
}
if (failed.length) fail(`not clean: ${failed.join('; ')}`)
say('clean')
