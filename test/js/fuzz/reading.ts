import { amount, cutting, nbytes, own, queued, type Row } from './rows.js'

/** All that reads a connection, in each of the ways there are. */
export const reading: Row[] = [
  own('doIoRead', ({ end, chance }) => {
    if (end.reads === 'nobody' || end.reads === 'operation') end.read(amount(chance), chance)
    else
      end.vc.doIoRead(() => end.stage.books.fault('a second reader is told'), 5, end.buffer(chance))
  }),
  own('doIoRead(_, 0, buffer)', ({ end, chance }) => {
    if (end.reads === 'nobody' || end.reads === 'operation') end.read(0, chance)
  }),
  own('doIoRead(null)', ({ end }) => {
    // What has come by then stays in its buffer: whoever reads next does not get it.
    if (end.reads === 'operation') end.stopReading()
  }),
  own('another buffer', ({ end, chance }) => {
    if (end.reads !== 'operation') return
    end.stopReading()
    end.noClones()
    end.in = undefined
    end.read(amount(chance), chance)
  }),
  own('reader.read', ({ end, chance }) => end.take(chance.between(1, 100_000), chance)),
  own('reader.clone', ({ end }) => {
    if (end.inReader && end.reads === 'operation') end.lagging.push(end.inReader.clone())
  }),
  own('reader.dealloc', ({ end }) => end.lagging.pop()?.dealloc()),
  own('reader.consume of a clone', ({ end }) => {
    const reader = end.lagging.at(-1)
    if (reader && reader.index >= 0) reader.consume(reader.readAvail)
  }),
  own('reader.indexOf, peek, sizeLimit', ({ end, chance }) => {
    const reader = end.inReader
    if (!reader || reader.index < 0 || reader.buffer.isFreed) return
    reader.indexOf(chance.below(256))
    reader.peek(Buffer.alloc(chance.below(2000)), chance.below(100))
    void reader.sizeLimit
  }),
  own('buffer.waterMark =', ({ end, chance }) => {
    if (end.in?.isFreed === false) end.in.waterMark = chance.pick([0, 1000, 100_000])
  }),
  own('buffer properties', ({ end }) => {
    if (end.in?.isFreed !== false) return
    const { maxReadAvail, writeAvail, highWater, produced, readerCount } = end.in
    return [maxReadAvail, writeAvail, highWater, produced, readerCount]
  }),
  own('buffer.writeFrom', ({ end }) => {
    if (!end.inReader || end.inReader.index < 0 || end.inReader.buffer.isFreed) return
    const copy = end.buffer(end.stage.chance(7))
    copy.writeFrom(end.inReader)
    copy.free()
    end.stage.buffers.delete(copy)
  }),
  own('read nbytes =', ({ end, chance }) => nbytes(end, 0, chance)),
  own('read reenable', ({ end }) => {
    if (end.reads === 'operation') end.vios[0]?.reenable()
  }),
  own('read reenableRe', ({ end }) => {
    if (end.reads === 'operation') end.vios[0]?.reenableRe()
  }),
  own('read setContinuation', ({ end, chance }) => {
    if (end.reads === 'operation') end.vios[0]?.setContinuation(chance.oneIn(4) ? null : end.onRead)
  }),
  own('read done', ({ end }) => {
    if (end.reads !== 'operation') return
    end.changed(0)
    end.vios[0]?.done()
  }),
  own('vc.stream', ({ end, chance }) => {
    if (end.reads !== 'given') end.readByStream(chance)
  }),
  own('stream.write', ({ end, chance }) => {
    if (!end.stream || end.stream.destroyed || end.stage.quiet) return
    end.stream.write(queued(end, 100, chance))
  }),
  own('stream.detach', ({ end, chance }) => {
    const { stream } = end
    if (!stream || end.reads !== 'stream') return
    end.stream = undefined
    try {
      stream.detach()
    } catch (error) {
      end.stream = stream
      throw error
    }
    end.readByStream(chance)
  }),
  own('stream.end, destroy', ({ end, chance }) => {
    if (!end.stream) return
    const how = chance.below(3)
    if (how === 0) end.stream.end()
    else cutting(end, () => (how === 1 ? end.stream!.destroy() : end.stream!.resetAndDestroy()))
  }),
  own('for await', ({ end, inside }) => {
    if (!inside && (end.reads === 'nobody' || end.reads === 'operation')) return end.readByLoop()
    return undefined
  }),
  own('vc.readable', ({ end, inside }) => {
    if (!inside && (end.reads === 'nobody' || end.reads === 'operation')) return end.readByWeb()
    return undefined
  }),
]
