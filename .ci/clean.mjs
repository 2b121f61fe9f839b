// npm run clean: removes what builds made. Downloads (node_modules, .nodes, .zig) stay.
import { rmSync } from 'node:fs'
import { root } from './tools.mjs'

for (const dir of ['build', 'dist', 'prebuilds', 'coverage'])
  rmSync(`${root}/${dir}`, { recursive: true, force: true })
