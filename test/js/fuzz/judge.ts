import { Mark, type Board } from './board.js'
import { Fate, type Report } from './books.js'

/**
 * What no thread can see by itself: whether what one has sent is what another has got (INV-9). All
 * threads that reported are known; of what the others sent or read nothing is said.
 */
export function judge(board: Board, reports: Report[]): string[] {
  const wrong: string[] = []
  const sent = new Map(reports.flatMap((report) => report.sent))
  const peers = new Map<number, number>()
  const got = new Map<number, Map<string, number[]>>()
  const whole = new Map<number, boolean>()
  const torn = new Set<number>()
  const joined = new Map<number, number>()
  for (const { received, tunnels } of reports) {
    for (const [a, b] of tunnels) joined.set(a, b).set(b, a)
    for (const one of received) {
      if (one.peer !== undefined) peers.set(one.label, peers.get(one.label) ?? one.peer)
      if (one.whole && !one.between) torn.add(one.label)
      whole.set(one.label, whole.get(one.label) === true || one.whole)
      const all = got.get(one.label) ?? new Map<string, number[]>()
      for (const [key, seqs] of one.got) all.set(key, [...(all.get(key) ?? []), ...seqs])
      got.set(one.label, all)
    }
  }
  // Who is whose peer is known when one of the two has heard of the other.
  for (const [label, peer] of [...peers]) if (!peers.has(peer)) peers.set(peer, label)

  /** Whose messages may come at an end: of its peer; of whom a tunnel has joined to that; and so on. */
  const senders = (label: number) => {
    const found: number[] = []
    for (let peer = peers.get(label); ;) {
      if (peer === undefined || found.includes(peer)) return { found, known: false }
      found.push(peer)
      const other = joined.get(peer)
      if (other === undefined) return { found, known: true }
      peer = peers.get(other)
    }
  }

  for (const [label, all] of got) {
    const name = `#${String(label)}`
    const { found: from, known } = senders(label)
    for (const [key, seqs] of all) {
      const sender = Number(key.split('/')[0])
      if (sender === 0) continue
      if (new Set(seqs).size < seqs.length)
        wrong.push(`INV-9: ${name} got a message of ${key} twice`)
      if (known && !from.includes(sender)) {
        wrong.push(`INV-11: ${name} got messages of ${key}, and not of ${from.join(', ')}`)
      }
      const fates = sent.get(key)
      if (!fates) continue
      for (const seq of seqs) {
        if (seq >= fates.length)
          wrong.push(`${name} got message ${String(seq)} of ${key}, never sent`)
        if (fates[seq] === Fate.failed) {
          wrong.push(`INV-10: ${name} got message ${String(seq)} of ${key}, told as failed`)
        }
      }
    }
    // Complete is what was read to the end, of a sender that nobody has cut off.
    const [peer] = from
    if (!whole.get(label) || peer === undefined || joined.has(peer) || joined.has(label)) continue
    if (board.marked(label, Mark.lost) || board.marked(peer, Mark.cut | Mark.lost)) continue
    if (torn.has(label)) wrong.push(`INV-9: ${name} got an orderly end within a message`)
    for (const [key, fates] of sent) {
      const [sender, producer] = key.split('/').map(Number)
      // What a stream of Node still had in its queue when it ended was never given to netvc.
      if (sender !== peer || producer >= 100) continue
      const have = new Set(all.get(key))
      const missing = [...fates.keys()].filter(
        (seq) => fates[seq] !== Fate.failed && !have.has(seq),
      )
      if (missing.length > 0) {
        wrong.push(
          `INV-9: ${name} got an orderly end without messages ${missing.join(', ')} of ${String(fates.length)} of ${key}`,
        )
      }
    }
  }
  return wrong
}
