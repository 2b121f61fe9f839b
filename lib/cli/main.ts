#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'

import { address, integer, type ProxyOptions, type ServeOptions } from './options.js'
import { serve } from './serve.js'

const { version } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string }

const examples = `
Addresses: tcp://127.0.0.1:80, tcp://[::1]:80, tcp://name:80, 127.0.0.1:80,
  unix:///path/to/socket, unix://@name (abstract). Port 0 is any free port; the real one is printed.

Examples:
  $ netvc echo tcp://127.0.0.1:7000
  $ netvc proxy tcp://0.0.0.0:8080 tcp://127.0.0.1:9000
  $ netvc proxy --threads 2 unix:///run/app.sock tcp://10.0.0.5:5432

SIGINT or SIGTERM: no new connections, open ones may end within --grace; a second one ends at once.`

const program = new Command('netvc')
  .description('Native network reactor for Node.js: an echo server and a TCP/unix proxy.')
  .version(version)
  // One line per mistake, like every other error of the program.
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'netvc: ')) })
  .addHelpText('after', examples)

function command(name: string, threads: number, why: string): Command {
  return program
    .command(name)
    .option('-t, --threads <n>', `net threads; ${why}`, integer(0, 256), threads)
    .option(
      '-g, --grace <ms>',
      'time for connections to end after a signal',
      integer(0, 3_600_000),
      5000,
    )
    .option(
      '-i, --interval <s>',
      'seconds between status lines without a terminal',
      integer(1, 86_400),
      10,
    )
}

function limit(name: string, what: string, value: number): Option {
  return new Option(`--${name}-timeout <ms>`, `milliseconds that ${what}; 0: no limit`)
    .argParser(integer(0, 0x7fffffff))
    .default(value)
}

// The engine is loaded when a command runs, so that --help works where it cannot be loaded.
command('echo', 0, '0 works on the JavaScript thread, best for short messages')
  .description('send everything back that clients send')
  .argument('<address...>', 'where to listen')
  .action(async (list: string[], options: ServeOptions) => {
    const listen = list.map(address)
    const { echoService } = await import('./echo.js')
    await serve(() => echoService(listen, options), options)
  })

command('proxy', 1, 'the sockets live there, and JavaScript only connects')
  .description('connect every client to one upstream')
  .argument('<listen>', 'where to listen')
  .argument('<upstream>', 'where to connect to')
  .addOption(limit('connect', 'the upstream has to answer', 10_000))
  .addOption(limit('inactivity', 'no byte moves in either direction', 0))
  .addOption(limit('active', 'a connection lives, whatever moves', 0))
  .addOption(limit('half-close', 'no byte moves after one side has ended', 0))
  .addOption(limit('stall', 'bytes wait for a side that takes none', 0))
  .action(async (from: string, to: string, options: ProxyOptions) => {
    const [listen, upstream] = [address(from), address(to)]
    const { proxyService } = await import('./proxy.js')
    await serve((problems) => proxyService(listen, upstream, options, problems), options)
  })

try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`netvc: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
