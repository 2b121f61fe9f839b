// HAProxy as a plain TCP proxy: one process, one thread, its own buffer sizes.

import { peerOptions, runForeignServer } from './support.js'

const { to } = peerOptions()

await runForeignServer({
  name: 'haproxy',
  program: 'haproxy',
  config: (port) => `
global
  nbthread 1
  maxconn 9000
defaults
  mode tcp
  timeout connect 10s
  timeout client 300s
  timeout server 300s
listen bench
  bind 127.0.0.1:${port} backlog 4096
  server backend ${to.host}:${to.port}
`,
  args: (configFile) => ['-db', '-f', configFile],
})
