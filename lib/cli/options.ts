import { InvalidArgumentError } from 'commander'

import { parseAddress } from '../address.js'

/** What every command takes. */
export interface ServeOptions {
  threads: number
  /** Milliseconds that connections have to end by themselves after a signal. */
  grace: number
  /** Seconds between two status lines when the output is not a terminal. */
  interval: number
}

/** Milliseconds, 0 for no limit: see TunnelOptions and ConnectOptions.timeout. */
export interface ProxyOptions extends ServeOptions {
  connectTimeout: number
  inactivityTimeout: number
  activeTimeout: number
  halfCloseTimeout: number
  stallTimeout: number
}

/** `tcp://host:port`, `unix:///path`, `unix://@name`; `host:port` alone means tcp. Throws. */
export function address(text: string): string {
  const url = /^([^:/@]+|\[[^\]]*\]):\d+$/.test(text) ? `tcp://${text}` : text
  parseAddress(url)
  return url
}

export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const n = Number(text)
    if (/^\d+$/.test(text) && n >= min && n <= max) return n
    throw new InvalidArgumentError(
      `It must be a whole number from ${String(min)} to ${String(max)}.`,
    )
  }
}
