// net is netvc/net for the test file itself, and below http, https, http2 and tls in their groups.
import Module, { syncBuiltinESMExports } from 'node:module'
import net from '../../dist/net/index.js'

const { NETVC_NODE_NET: file, NETVC_NODE_GROUP: group, NETVC_NODE_USED: marker } = process.env
delete process.env.NETVC_NODE_NET
delete process.env.NETVC_NODE_GROUP
delete process.env.NETVC_NODE_USED
const load = Module._load
Module._load = function (request, parent, ...rest) {
  const wanted = request === 'net' || request === 'node:net'
  return wanted && parent?.filename === file ? net : load.call(this, request, parent, ...rest)
}
if (group !== 'net') {
  const { mapBelow } = await import('./below.mjs')
  mapBelow(marker)
  syncBuiltinESMExports()
}
