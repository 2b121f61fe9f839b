// A random table whose length is a prime: shifted, lost or doubled bytes cannot match.
const period = 65521
const table = Buffer.alloc(period)
const next = random(1)
for (let i = 0; i < period; i++) table[i] = next() * 256

/** n bytes of the stream that every test sends, from a position on. */
export function pattern(n: number, from = 0): Buffer {
  const bytes = Buffer.allocUnsafe(n)
  for (let at = 0; at < n;) {
    const start = (from + at) % period
    at += table.copy(bytes, at, start, Math.min(period, start + n - at))
  }
  return bytes
}

/** Follows a stream and checks each byte of it by its position (INV-4). */
export class PatternChecker {
  count = 0
  constructor(private readonly from = 0) {}

  take(bytes: Uint8Array): void {
    const wanted = pattern(bytes.length, this.from + this.count)
    if (!wanted.equals(bytes)) {
      const at = bytes.findIndex((b, i) => b !== wanted[i])
      throw new Error(`byte ${String(this.count + at)} of the stream is wrong`)
    }
    this.count += bytes.length
  }
}

/** mulberry32: [0, 1) */
export function random(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** The seed of a random test: NETVC_SEED replays one. It is part of the test's name. */
export function seeds(n: number): number[] {
  const replay = process.env['NETVC_SEED']
  if (replay !== undefined) return [Number(replay)]
  return Array.from({ length: n }, () => Math.floor(Math.random() * 2 ** 31))
}

export const integerBelow = (next: () => number, n: number) => Math.floor(next() * n)
/** From min to max, small and large values being equally likely. */
export const logarithmic = (next: () => number, min: number, max: number) =>
  Math.round(min * (max / min) ** next())
export const pick = <T>(next: () => number, list: readonly T[]): T =>
  list[integerBelow(next, list.length)]
