// native/ has one direction of dependency, and only binding/ knows Node. The static libraries of
// CMake prove it for symbols; this proves it for headers too.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './tools.mjs'

const order = ['base', 'buffer', 'poll', 'net', 'vc', 'server', 'binding']
const ofNode = /^(napi|node_api|js_native_api|node|node_buffer|uv|v8)\.h$/

export function checkIncludes() {
  const problems = []
  for (const entry of readdirSync(path.join(root, 'native'), { recursive: true })) {
    if (!/\.(cc|h)$/.test(entry)) continue
    const folder = entry.split(path.sep)[0]
    if (!order.includes(folder)) {
      problems.push(`native/${entry}: no place in the order ${order.join(' <- ')}`)
      continue
    }
    const text = readFileSync(path.join(root, 'native', entry), 'utf8')
    text.split('\n').forEach((line, index) => {
      const included = /^\s*#\s*include\s*[<"]([^>"]+)[>"]/.exec(line)?.[1]
      if (!included) return
      const at = `native/${entry}:${index + 1}`
      if (ofNode.test(included) && folder !== 'binding') {
        problems.push(`${at}: ${included} belongs to native/binding only`)
      }
      const other = order.indexOf(included.split('/')[0])
      if (included.includes('/') && other > order.indexOf(folder)) {
        problems.push(`${at}: ${folder} must not include ${included} (${order.join(' <- ')})`)
      }
    })
  }
  return problems
}
