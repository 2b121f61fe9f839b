import { fileURLToPath } from 'node:url'

import { Program, run } from './programs.js'

export const cliFile = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

export function runCli(...args: string[]) {
  return run(process.execPath, [cliFile, ...args])
}

/** The CLI in a process of its own, ready to be connected to. */
export class Cli extends Program {
  /** What it printed after `listening`, in order. */
  addresses: string[] = []

  static async start(...args: string[]): Promise<Cli> {
    const cli = new Cli(process.execPath, [cliFile, ...args])
    await cli.printed(/^listening \S+$/m)
    cli.addresses = [...cli.stdout.matchAll(/^listening (\S+)$/gm)].map((match) => match[1])
    return cli
  }

  static proxyTo(upstream: number | string, ...options: string[]): Promise<Cli> {
    const to = typeof upstream === 'number' ? `tcp://127.0.0.1:${String(upstream)}` : upstream
    return Cli.start('proxy', 'tcp://127.0.0.1:0', to, ...options)
  }

  get port(): number {
    return Number(new URL(this.addresses[0]).port)
  }

  /** Ends it as a service manager would; the exit code. */
  async terminate(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.kill(signal)
    return (await this.exited).code
  }
}
