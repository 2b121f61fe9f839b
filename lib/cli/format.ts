const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `0 B`, `999 B`, `1.5 MiB`: at most four digits, so that a live line does not dance. */
export function bytes(n: number): string {
  let unit = 0
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1024
    unit++
  }
  const digits = unit === 0 || n >= 99.95 ? 0 : 1
  return `${n.toFixed(digits)} ${units[unit] ?? ''}`
}

/** `1 connection`, `2 connections`. */
export function count(n: number, noun: string): string {
  return `${String(n)} ${noun}${n === 1 ? '' : 's'}`
}
