import { describe, expect, test } from 'vitest'
import { actions, actors, moments, play, roles, type Case } from './teardown.js'

// TLS of Node over netvc's sockets: at every end of a connection both sockets tell what they tell
// over node:net. Node is the control; where it has several answers, each of them is right.

const controls = 5

/** Where Node's own answer is a matter of microseconds. */
function isRace({ role, actor, action, moment }: Case): boolean {
  // The reset is told by the read, or the write of the ClientHello takes it away.
  if (moment === 'before TLS' && role === 'client' && actor === 'the peer')
    return /reset/.test(action)
  // 'finish' of a plain socket that its user ends below TLS, while TLS still writes to it.
  return moment === 'writes pending' && action === 'raw end' && actor === 'the subject'
}

describe.each(roles)('as a %s', (role) => {
  describe.each(moments)('%s', (moment) => {
    describe.each(actors)('%s', (actor) => {
      test.each(actions)('%s', async (action) => {
        for (const allowHalfOpen of [false, true]) {
          const c: Case = { role, actor, action, moment, allowHalfOpen }
          if (isRace(c)) continue
          const right = new Set<string>()
          const ask = async () => void right.add((await play('node:net', c)).join('\n'))
          await ask()
          for (const side of ['netvc/net', 'vc.stream()'] as const) {
            const seen = (await play(side, c)).join('\n')
            for (let more = 1; more < controls && !right.has(seen); more++) await ask()
            if (!right.has(seen))
              expect(`${side}\n${seen}`).toBe(`node:net\n${[...right].join('\nor\n')}`)
          }
        }
      })
    })
  })
})
