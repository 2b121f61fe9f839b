// What the rows of the table are made of.
import type { VCHandle, WriteOptions } from 'netvc'
import { Mark } from './board.js'
import { Fate } from './books.js'
import type { Chance } from './chance.js'
import type { End } from './end.js'
import { messageOf } from './frames.js'
import type { Stage } from './stage.js'

export interface Call {
  stage: Stage
  chance: Chance
  /** The connection, for rows of connections. */
  end: End | undefined
  /** Within a handler. */
  inside: boolean
}

export type Row = readonly [name: string, run: (call: Call) => unknown]

export type Own = Call & { end: End; vc: End['vc'] }
export const own = (name: string, run: (call: Own) => unknown): Row => [
  name,
  (call) => run({ ...call, end: call.end!, vc: call.end!.vc }),
]

/** One message, in any of the ways there are, and what becomes of it in the books. */
export function send({ stage, chance }: Call, to: VCHandle, label: number): unknown {
  if (label === 0 || stage.quiet) return undefined
  const { books } = stage
  const fates = books.fates(label)
  const seq = fates.length
  const size = chance.oneIn(12) ? chance.between(3000, 400_000) : chance.between(1, 3000)
  const whole = messageOf(label, books.thread, seq, size)
  const cut = chance.below(whole.length)
  const data = chance.oneIn(4) ? [whole.subarray(0, cut), whole.subarray(cut)] : whole
  const options: WriteOptions = {}
  if (chance.oneIn(5)) options.timeout = 1 + chance.below(40)
  if (chance.oneIn(5)) options.pipelinedCount = 1 + chance.below(3)
  if (chance.oneIn(8)) options.ignoreOvercrowded = true
  const how = chance.below(5)
  // A message that is taken back without a completion has no fate that anybody is told.
  if (how < 3 && options.timeout) delete options.timeout
  fates[seq] = Fate.unknown
  if (how < 3) {
    try {
      return how === 0 ? to.write(data, options as { completion?: false }) : to.write(data)
    } catch (error) {
      fates.length = seq
      throw error
    }
  }
  const told = books.expect(`the fate of message ${String(seq)} to #${String(label)}`)
  const tell = (error: unknown) => {
    told()
    if (error) books.judge('completion', error)
    fates[seq] = error ? Fate.failed : Fate.sent
  }
  if (how === 3) return to.write(data, { ...options, completion: tell })
  to.write(data, { ...options, completion: true }).then(() => tell(null), tell)
  return undefined
}

/** A message that a stream has in its queue before it is written: a sender of its own. */
export function queued({ stage, label }: End, queue: number, chance: Chance): Buffer {
  const producer = stage.books.thread + queue
  const fates = stage.books.fates(label, producer)
  fates.push(Fate.unknown)
  return messageOf(label, producer, fates.length - 1, chance.between(1, 20_000))
}

/** An error of the user's own. */
export const mine = () => Object.assign(new Error('mine'), { code: 'ERR_FUZZ' })

/** Messages that wait may be lost by it. */
export function cutting(end: End, call: () => unknown): unknown {
  end.stage.books.board.mark(end.label, Mark.cut)
  return call()
}

export const amount = (chance: Chance) => (chance.oneIn(2) ? Infinity : chance.between(1, 100_000))

export function nbytes(end: End, side: 0 | 1, chance: Chance): void {
  const vio = end.vios[side]
  if (!vio || (side === 0 && end.reads !== 'operation')) return
  end.changed(side)
  vio.nbytes = chance.pick([
    0,
    vio.ndone,
    vio.ndone + 1,
    vio.ndone + chance.between(1, 50_000),
    Infinity,
  ])
  if (chance.oneIn(2)) vio.reenable()
}

export function onFailed(vc: VCHandle, stage: Stage, chance: Chance): void {
  const told = stage.books.expect('onFailed')
  const forget = vc.onFailed((error) => {
    told()
    stage.books.judge('onFailed', error)
  })
  if (!chance.oneIn(3)) return
  forget()
  told()
}

export const readable = (end: End) => end.reads === 'nobody' || end.reads === 'operation'
