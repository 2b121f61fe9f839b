import { amount, cutting, mine, nbytes, own, queued, send, type Row } from './rows.js'

/** All that writes to a connection, and ends it. */
export const writing: Row[] = [
  own('write', (call) => send(call, call.vc, call.end.label)),
  own('write, many', (call) => {
    for (let i = 0; i < 8; i++) send(call, call.vc, call.end.label)
  }),
  own('write, wrong', ({ vc, chance }) => {
    const wrong = [['', {}], [5], [['a', 5]], ['a', { timeout: -1 }], ['a', { nobody: 1 }]]
    return (vc.write as (...args: unknown[]) => unknown).apply(vc, chance.pick(wrong))
  }),
  own('doIoWrite', ({ end, chance }) => end.write(amount(chance), chance)),
  own('doIoWrite(null)', ({ vc }) => vc.doIoWrite(null, 0, null)),
  own('buffer.write', ({ end, chance }) => end.feed(chance)),
  own('write nbytes =', ({ end, chance }) => nbytes(end, 1, chance)),
  own('write reenable', ({ end }) => end.vios[1]?.reenable()),
  own('write reenableRe', ({ end }) => end.vios[1]?.reenableRe()),
  own('write done', ({ end }) => {
    end.changed(1)
    end.vios[1]?.done()
  }),
  own('write setContinuation', ({ end, chance }) =>
    end.vios[1]?.setContinuation(chance.oneIn(4) ? null : end.onWrite),
  ),
  own('trapWriteBufferEmpty', ({ vc, chance }) => vc.trapWriteBufferEmpty(chance.oneIn(2))),
  own('drained', ({ vc }) => vc.drained()),
  own('setWriteMarks, maxUnwritten', ({ vc, chance }) => {
    vc.setWriteMarks(chance.between(1, 1 << 20))
    vc.maxUnwritten = chance.between(1000, 64 << 20)
  }),
  own('popPipelined', ({ vc }) => vc.popPipelined()),
  own('vc.writable', (call) => {
    const { end, stage, chance } = call
    if (end.label === 0 || end.vc.writable.locked) return
    const writer = end.vc.writable.getWriter()
    void stage.books.watch('writable.closed', writer.closed)
    void stage.books.watch('writable.write', writer.write(queued(end, 200, chance)))
    const how = chance.below(6)
    if (how === 0) void stage.books.watch('writable.close', writer.close())
    if (how === 1)
      cutting(end, () => void stage.books.watch('writable.abort', writer.abort(mine())))
    writer.releaseLock()
  }),
]

export const closings: Row[] = [
  own('doIoClose', ({ vc }) => vc.doIoClose()),
  own('doIoClose(errno)', ({ vc, end }) => cutting(end, () => vc.doIoClose(103))),
  own('closeGracefully', ({ vc, chance, end }) =>
    cutting(end, () => vc.closeGracefully(chance.below(300))),
  ),
  own('closeWithReset', ({ vc, end }) => cutting(end, () => vc.closeWithReset())),
  own('setFailed', ({ vc, end, chance }) =>
    cutting(end, () => vc.setFailed(chance.pick([undefined, 'enough', mine()]))),
  ),
]
