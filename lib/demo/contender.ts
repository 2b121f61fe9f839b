import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { loads, type LoadName } from './traffic.js'

export interface Measured {
  bytes: number
  messages: number
  mibPerSecond: number
  messagesPerSecond: number
  cpuUsPerMib: number
  cpuUsPerMessage: number
}

interface Usage {
  cpuUs: number
  rss: number
}

/** One of the two proxies that are compared. */
export class Contender {
  private constructor(
    private readonly child: ChildProcess,
    private readonly port: number,
  ) {}

  static async start(kind: 'netvc' | 'node', originPort: number): Promise<Contender> {
    const child = fork(new URL('proxy.js', import.meta.url), [kind, String(originPort)])
    const early = once(child, 'exit').then(() => {
      throw new Error(`the ${kind} proxy ended before it listened`)
    })
    early.catch(() => {})
    const [{ port }] = (await Promise.race([once(child, 'message'), early])) as [{ port: number }]
    return new Contender(child, port)
  }

  async usage(): Promise<Usage> {
    this.child.send('usage')
    const [usage] = (await once(this.child, 'message')) as [Usage]
    return usage
  }

  async measure(load: LoadName): Promise<Measured> {
    const before = await this.usage()
    const from = performance.now()
    const { bytes, messages } = await loads[load].run(this.port)
    const seconds = (performance.now() - from) / 1000
    const cpuUs = (await this.usage()).cpuUs - before.cpuUs
    const mib = bytes / 1024 / 1024
    return {
      bytes,
      messages,
      mibPerSecond: mib / seconds,
      messagesPerSecond: messages / seconds,
      cpuUsPerMib: cpuUs / mib,
      cpuUsPerMessage: cpuUs / messages,
    }
  }

  stop(): void {
    this.child.disconnect()
  }
}
