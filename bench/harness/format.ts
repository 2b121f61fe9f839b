// Numbers as people read them. NaN and infinity mean that nothing was measured.

import type { Spread } from './statistics.js'

const nothing = '–'

/** Three significant digits, thousands grouped. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return nothing
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US')
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 })
}

export function ratio(value: number): string {
  return Number.isFinite(value) ? value.toFixed(2) : nothing
}

export function percent(value: number): string {
  return Number.isFinite(value) ? `${Math.round(value * 100)} %` : nothing
}

export function range(spread: Spread, show: (value: number) => string): string {
  return spread.count === 0 ? nothing : `${show(spread.min)} – ${show(spread.max)}`
}
