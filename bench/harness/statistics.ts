// Medians, spreads, and ratios of samples that were taken in the same round.

export interface Spread {
  median: number
  /** Median absolute deviation: half of the samples lie within it of the median. */
  mad: number
  min: number
  max: number
  count: number
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return NaN
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

export function spreadOf(values: readonly number[]): Spread {
  const center = median(values)
  return {
    median: center,
    mad: median(values.map((value) => Math.abs(value - center))),
    min: Math.min(...values),
    max: Math.max(...values),
    count: values.length,
  }
}

/** A figure and the round it was taken in. */
export interface Timed {
  round: number
  value: number
}

function byRound(samples: readonly Timed[]): Map<number, number[]> {
  const rounds = new Map<number, number[]>()
  for (const { round, value } of samples) {
    rounds.set(round, [...(rounds.get(round) ?? []), value])
  }
  return rounds
}

/**
 * The ratio a : b of each round in which both were measured. The host changes its speed
 * over minutes; within a round both sides had about the same host.
 */
export function pairedRatios(a: readonly Timed[], b: readonly Timed[]): number[] {
  const below = byRound(b)
  const ratios: number[] = []
  for (const [round, values] of byRound(a)) {
    const reference = below.get(round)
    if (reference !== undefined) ratios.push(mean(values) / mean(reference))
  }
  return ratios
}

/** What a server that ran twice per round says about itself: first run : second run. */
export function selfRatios(samples: readonly Timed[]): number[] {
  return [...byRound(samples).values()]
    .filter((values) => values.length > 1)
    .map((values) => values[0] / values[1])
}
