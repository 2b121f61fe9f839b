// nginx's stream module as a plain TCP proxy: one process, its own buffer sizes.

import { existsSync } from 'node:fs'
import { peerOptions, runForeignServer, skip } from './support.js'

const { to } = peerOptions()

const streamModule = [
  '/usr/lib/nginx/modules/ngx_stream_module.so',
  '/usr/lib64/nginx/modules/ngx_stream_module.so',
].find((file) => existsSync(file))
if (streamModule === undefined) skip('nginx: no dynamic stream module found')

await runForeignServer({
  name: 'nginx',
  program: 'nginx',
  config: (port, folder) => `
load_module ${streamModule};
daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr crit;
events { worker_connections 19000; }
stream {
  upstream backend { server ${to.host}:${to.port} max_fails=0; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    proxy_pass backend;
    proxy_half_close on;
    proxy_timeout 300s;
    tcp_nodelay on;
  }
}
`,
  args: (configFile, folder) => ['-c', configFile, '-p', folder],
})
