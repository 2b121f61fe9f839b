import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'vitest'

import { finally_ } from './cleanup.js'

function has(program: string): boolean {
  return (process.env['PATH'] ?? '').split(path.delimiter).some((dir) => {
    try {
      accessSync(path.join(dir, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/**
 * describe() for tests that need a program. Without it they are skipped, and the title says which
 * Debian package has it. In CI, where everything is there, that is a failure, except where CI plays
 * a machine that has nothing.
 */
export function describeWith(
  program: string,
  debianPackage: string,
  title: string,
  body: () => void,
) {
  if (has(program)) {
    describe(title, body)
    return
  }
  const reason = `${program} is missing; on Debian: apt-get install ${debianPackage}`
  if (process.env['CI'] && !process.env['NETVC_PEERS_MAY_BE_MISSING']) {
    describe(title, () => {
      test(reason, () => {
        throw new Error(reason)
      })
    })
  } else {
    describe.skip(`${title} (${reason})`, body)
  }
}

/** A program that runs in the background until the test is over. */
export class Program {
  readonly child: ChildProcess
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  stdout = ''
  stderr = ''
  #over = false
  #watchers: (() => void)[] = []

  constructor(
    command: string,
    args: string[],
    options: { env?: Record<string, string>; cwd?: string } = {},
  ) {
    const env = { ...process.env, ...options.env }
    this.child = spawn(command, args, { stdio: 'pipe', env, cwd: options.cwd })
    this.child.stdin?.on('error', () => {})
    const changed = () => {
      for (const watch of this.#watchers) watch()
    }
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
      changed()
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      changed()
    })
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject)
      this.child.on('close', (code, signal) => {
        this.#over = true
        resolve({ code, signal })
        changed()
      })
    })
    finally_(async () => {
      this.kill('SIGKILL')
      await this.exited
    })
  }

  get pid(): number {
    return this.child.pid!
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.#over) this.child.kill(signal)
  }

  /** Resolves with the match as soon as what was printed matches. */
  printed(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout', ms = 15_000) {
    return new Promise<RegExpExecArray>((resolve, reject) => {
      const fail = (why: string) => {
        const said = `stdout: ${this.stdout}\nstderr: ${this.stderr}`
        reject(new Error(`${why} before ${String(pattern)} was printed\n${said}`))
      }
      const timer = setTimeout(() => fail(`${String(ms)} ms passed`), ms)
      const look = () => {
        const match = pattern.exec(this[stream])
        if (!match && !this.#over) return
        clearTimeout(timer)
        this.#watchers = this.#watchers.filter((w) => w !== look)
        if (match) resolve(match)
        else fail('the program ended')
      }
      this.#watchers.push(look)
      look()
    })
  }
}

/** Runs a program to its end. */
export async function run(command: string, args: string[], input?: string | Buffer) {
  const program = new Program(command, args)
  program.child.stdin?.end(input)
  const { code, signal } = await program.exited
  return { code, signal, stdout: program.stdout, stderr: program.stderr }
}
