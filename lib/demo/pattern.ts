/**
 * Bytes that tell where they belong: byte i of stream s is table[(s + i) % period]. A byte that is
 * lost, doubled, swapped or of another stream does not fit.
 */
const period = 65_521 // a prime: no block size divides it
const longest = 256 * 1024

const table = Buffer.alloc(period + longest)
let random = 0x2545f491
for (let i = 0; i < period; i++) table[i] = nextRandom() & 0xff
for (let i = period; i < table.length; i++) table[i] = table[i - period]!

/** xorshift32: the same sizes and bytes in every run. */
function nextRandom(): number {
  random ^= random << 13
  random ^= random >>> 17
  random ^= random << 5
  return random >>> 0
}

/** A size from 1 to max; small ones are as likely as large ones. */
export function randomSize(max: number): number {
  return 1 + (nextRandom() % 2 ** (1 + (nextRandom() % Math.floor(Math.log2(max)))))
}

/** n bytes of a stream from a position on; a view, not to be changed. */
export function patternAt(stream: number, position: number, n: number): Buffer {
  const at = (stream + position) % period
  return table.subarray(at, at + Math.min(n, longest))
}

/** Checks a stream piece by piece; throws at the first byte that is wrong. */
export class Verifier {
  position = 0

  constructor(
    private readonly stream: number,
    private readonly what: string,
  ) {}

  take(bytes: Buffer): void {
    for (let from = 0; from < bytes.length;) {
      const expected = patternAt(this.stream, this.position, bytes.length - from)
      const piece = bytes.subarray(from, from + expected.length)
      if (!piece.equals(expected)) {
        const off = piece.findIndex((byte, i) => byte !== expected[i])
        throw new Error(`${this.what}: byte ${String(this.position + off)} is wrong`)
      }
      this.position += piece.length
      from += piece.length
    }
  }

  ended(length: number): void {
    if (this.position === length) return
    const got = `${String(this.position)} of ${String(length)} bytes`
    throw new Error(`${this.what}: ended after ${got}`)
  }
}
