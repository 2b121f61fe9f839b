// Each header of native/ compiles alone, so that nobody depends on the order of includes.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { need } from './needs.mjs'
import { fail, headersEnv, root, say } from './tools.mjs'

need('compiler')
const prefix = process.env.npm_config_nodedir ?? headersEnv().npm_config_nodedir ?? '/usr'
const nodeInclude = path.join(prefix, 'include/node')
const napi = execFileSync(process.execPath, ['-p', "require('node-addon-api').include_dir"], {
  cwd: root,
  encoding: 'utf8',
}).trim()
const flags = [
  '-std=c++20',
  '-fsyntax-only',
  '-Wall',
  '-Wextra',
  '-Wshadow',
  '-Werror',
  '-fno-exceptions',
  '-fno-rtti',
  '-Inative',
  '-isystem',
  napi,
  '-isystem',
  nodeInclude,
  '-DNAPI_VERSION=8',
  '-DNAPI_DISABLE_CPP_EXCEPTIONS',
  '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
]

const headers = readdirSync('native', { recursive: true }).filter((file) => file.endsWith('.h'))
let bad = 0
for (const header of headers) {
  if (header.startsWith('binding') && !existsSync(nodeInclude))
    fail(`no Node headers in ${nodeInclude}`)
  // Included from stdin and not compiled itself, or #pragma once in a main file would warn.
  const result = spawnSync(process.env.CXX ?? 'g++', [...flags, '-x', 'c++', '-'], {
    input: `#include "${header}"\n`,
    encoding: 'utf8',
  })
  if (result.status === 0) continue
  bad++
  console.error(`native/${header} does not compile alone\n${result.stderr}`)
}
say(`${headers.length - bad} headers compile alone, ${bad} do not`)
if (bad) process.exit(1)
