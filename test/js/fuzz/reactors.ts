import { Mark } from './board.js'
import type { Chance } from './chance.js'
import type { Row } from './rows.js'
import type { Stage } from './stage.js'

/** What is asked of reactors and listeners, and how connections come to be. */
export const onReactors: readonly Row[] = [
  ['connect', ({ stage, chance }) => connect(stage, chance)],
  ['connect', ({ stage, chance }) => connect(stage, chance)],
  ['connect', ({ stage, chance }) => connect(stage, chance)],
  ['pair', ({ stage, chance }) => pair(stage, chance)],
  ['pair', ({ stage, chance }) => pair(stage, chance)],
  [
    'connect to nobody',
    ({ stage }) => stage.reactor.connect('tcp://127.0.0.1:1').then((vc) => vc.doIoClose()),
  ],
  ['adopt nothing', ({ stage }) => stage.reactor.adopt(1_000_000)],
  [
    'listen',
    async ({ stage, chance }) => {
      if (stage.quiet || !stage.sockets || stage.listeners.length > 4) return
      await stage.listen(chance)
    },
  ],
  [
    'listener.pause, resume',
    ({ stage, chance }) => {
      if (stage.listeners.length === 0) return
      const listener = chance.pick(stage.listeners)
      if (chance.oneIn(2)) listener.pause()
      else listener.resume()
    },
  ],
  [
    'listener.close',
    ({ stage, chance }) => {
      if (stage.listeners.length < 2 || chance.below(3) > 0) return undefined
      return chance.pick(stage.listeners).close()
    },
  ],
  [
    'listener.stats',
    ({ stage }) => stage.listeners.map((l) => [l.stats(), l.listening, l.paused, l.error]),
  ],
  ['reactor.connections', ({ stage }) => stage.reactor.connections()],
  ['reactor.recentlyClosed', ({ stage }) => stage.reactor.recentlyClosed()],
  ['reactor.stats', ({ stage }) => stage.reactor.stats()],
  ['reactor.ref, unref', ({ stage }) => stage.reactor.unref().ref()],
  [
    'setQueueLimits',
    ({ stage, chance }) =>
      stage.reactor.setQueueLimits({ maxQueued: chance.below(8), maxActive: chance.below(4) }),
  ],
  ['workers', ({ stage }) => stage.reactor.workers()],
  ['gc', () => (globalThis as { gc?: () => void }).gc?.()],
]

async function connect(stage: Stage, chance: Chance): Promise<void> {
  if (!stage.sockets || stage.addresses.length === 0) {
    if (stage.pairs) pair(stage, chance)
    return
  }
  const abort = chance.oneIn(8) ? new AbortController() : undefined
  const attempt = stage.reactor.connect(chance.pick(stage.addresses), {
    ...(chance.oneIn(4) && { timeout: 1 + chance.below(50) }),
    ...(chance.oneIn(4) && { inactivityTimeout: 1 + chance.below(50) }),
    ...(chance.oneIn(6) && { sendBufferSize: 4096 }),
    ...(chance.oneIn(6) && { receiveBufferSize: 4096 }),
    ...(chance.oneIn(8) && { resetOnClose: true }),
    ...(abort && { signal: abort.signal }),
  })
  if (abort) setTimeout(() => abort.abort(), chance.below(3))
  const vc = await attempt
  stage.take(vc, 8)
}

function pair(stage: Stage, chance: Chance): void {
  const { threads } = stage.reactor
  if (!stage.pairs) return
  const options = {
    ...(chance.oneIn(2) && { size: chance.between(1, 200_000) }),
    ...(chance.oneIn(3) && { activeThread: chance.below(Math.max(1, threads)) }),
    ...(chance.oneIn(3) && { passiveThread: chance.below(Math.max(1, threads)) }),
  }
  if (chance.oneIn(3)) {
    stage.take(
      stage.reactor.pair((vc) => void stage.take(vc, 9, Mark.passive), options),
      10,
    )
    return
  }
  const [active, passive] = stage.reactor.pair(options)
  stage.take(active, 11)
  stage.take(passive, 11, Mark.passive)
}
