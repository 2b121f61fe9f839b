// npm run check:abi, a release step: fails when a Linux prebuild needs more of its system than Node
// itself does, or exports more than the two symbols that Node looks up.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { fail } from './tools.mjs'

const newestGlibc = 28 // 2.28
const readelf = (...args) => execFileSync('readelf', ['-W', ...args], { encoding: 'utf8' })

function problemsOf(file) {
  const symbols = readelf('--dyn-syms', file)
  const libraries = [...readelf('-d', file).matchAll(/NEEDED.*\[(.+)\]/g)].map((match) => match[1])
  const glibc = Math.max(0, ...[...symbols.matchAll(/GLIBC_2\.(\d+)/g)].map((match) => +match[1]))
  const exported = symbols
    .split('\n')
    .filter((line) => /(GLOBAL|WEAK)\s+DEFAULT\s+\d+\s/.test(line))
    .map((line) => line.trim().split(/\s+/)[7])
  const problems = []
  if (glibc > newestGlibc) problems.push(`needs glibc 2.${glibc}`)
  for (const name of libraries) {
    if (/^lib(stdc\+\+|gcc|c\+\+)/.test(name)) problems.push(`links ${name}`)
  }
  if (exported.length > 2) problems.push(`exports ${exported.slice(0, 5).join(' ')} ...`)
  if (!exported.includes('napi_register_module_v1')) problems.push('is no addon')
  console.log(`${file}  glibc 2.${glibc}  ${libraries.join(' ')}  ${problems.join('; ') || 'ok'}`)
  return problems
}

if (!existsSync('prebuilds')) fail('no prebuilds/; run: npm run prebuild:all')
const files = readdirSync('prebuilds')
  .filter((dir) => dir.startsWith('linux'))
  .flatMap((dir) => readdirSync(`prebuilds/${dir}`).map((file) => `prebuilds/${dir}/${file}`))
if (files.flatMap(problemsOf).length) fail('these prebuilds must not be published')
