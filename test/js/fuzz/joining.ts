import { tunnel } from 'netvc'
import { Mark } from './board.js'
import type { Chance } from './chance.js'
import type { End } from './end.js'
import { markOf } from './frames.js'
import { readable } from './rows.js'

/** A tunnel between two that are at a boundary: each receiver is told where the bytes go on. */
export function join(a: End, b: End, chance: Chance): void {
  for (const end of [a, b]) {
    // Only one end of a connection, or bytes might run in a circle for ever.
    const { board } = end.stage.books
    if (!board.marked(end.label, Mark.passive) || board.marked(end.label, Mark.lost)) return
    if (!readable(end) || end.vc.closed || end.parser?.between !== true) return
    end.noClones()
    end.vc.doIoWrite(null, 0, null)
    end.vc.inspect() // a turn of its thread: nothing of the operation leaves any more
  }
  if (a === b) {
    tunnel(a.vc, b.vc)
    return
  }
  const places = [a.parser!.place, b.parser!.place] as const
  b.vc.write(markOf(places[0].salt, places[0].at))
  a.vc.write(markOf(places[1].salt, places[1].at))
  const limits = chance.oneIn(3)
    ? {
        inactivityTimeout: 1 + chance.below(200),
        activeTimeout: chance.below(300),
        halfCloseTimeout: chance.below(100),
        stallTimeout: chance.below(100),
      }
    : {}
  const joined = tunnel(a.vc, b.vc, {
    blockSize: chance.between(128, 65_536),
    waterMark: chance.between(1, 65_536),
    ...limits,
  })
  const { books } = a.stage
  books.tunnels.push([a.label, b.label])
  for (const end of [a, b]) end.handOver('tunnel')
  if (Object.keys(limits).length > 0 || chance.oneIn(6)) {
    books.board.mark(a.label, Mark.cut)
    books.board.mark(b.label, Mark.cut)
    if (chance.oneIn(4)) setTimeout(() => joined.close(), chance.below(20))
  }
  const check = async () => {
    const { reason, error } = await joined.closed
    books.count(`tunnel: ${reason}`)
    if (error) books.judge('tunnel', error)
    for (const end of [a, b]) {
      if (reason !== 'eos') books.board.mark(end.label, Mark.cut)
      if (!end.vc.closed) books.fault(`${end.name}: open after its tunnel`)
    }
  }
  void books.watch('tunnel', check())
}
