import { NetvcError } from './errors.js'
import { MIOBuffer } from './mio-buffer.js'
import type { StreamLink } from './stream-link.js'
import type { VConnection } from './vconnection.js'

/** See VCStream.detach(). */
export function detach(link: StreamLink, unread: Uint8Array | undefined): VConnection {
  const { vc, stream, reader } = link
  if (vc === undefined || vc.closed || stream.destroyed || link.over) {
    throw new NetvcError('ERR_VC_CLOSED', 'detach: the stream has ended')
  }
  if (vc.reactor.threads > 0) {
    const text = 'detach: a net thread reads into the buffer; only the inline engine can do this'
    throw new NetvcError('ERR_BUFFER_BUSY', text)
  }
  const buffer = new MIOBuffer()
  buffer.allocReader()
  if (unread) buffer.write(unread)
  stream.removeAllListeners('data') // read() would tell them what comes again
  const encoding = stream.readableEncoding ?? 'utf8'
  while (stream.readableLength > 0) {
    const chunk = stream.read() as Buffer | string
    buffer.write(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)
  }
  if (reader) buffer.writeFrom(reader)
  link.freeBuffer()
  vc.leaveStream(buffer)
  if (link.counted) link.count(false)
  link.vc = undefined
  stream.destroy()
  return vc
}
