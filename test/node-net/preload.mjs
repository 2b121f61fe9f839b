// net is netvc/net for the test file itself, and for nothing else of the process.
import Module from 'node:module'
import net from '../../dist/net/index.js'

const { NETVC_NODE_NET: file } = process.env
delete process.env.NETVC_NODE_NET
const load = Module._load
Module._load = function (request, parent, ...rest) {
  const wanted = request === 'net' || request === 'node:net'
  return wanted && parent?.filename === file ? net : load.call(this, request, parent, ...rest)
}
