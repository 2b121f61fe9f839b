import { constants } from 'node:os'

import { bytes, count } from './format.js'
import type { ServeOptions } from './options.js'
import { Problems } from './problems.js'
import type { Service, StartService } from './service.js'
import { Status, type Counters } from './status.js'

const signals = ['SIGINT', 'SIGTERM'] as const

/** Starts a service, says where it listens, shows its counters, and ends it cleanly on a signal. */
export async function serve(start: StartService, options: ServeOptions): Promise<void> {
  // Whoever read our lines may go (`netvc echo ... | head -1`); serving goes on.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

  let print: (line: string) => void = (line) => process.stderr.write(line)
  const problems = new Problems((line) => print(`netvc: ${line}\n`))
  const service = await start(problems)
  // Before anybody can know that we run; until here a signal ends the process as always.
  const signal = firstSignal()
  for (const address of service.listener.addresses) console.log(`listening ${address}`)
  const status = new Status(() => service.counters(), options.interval)
  print = (line) => status.print(line, process.stderr)

  await signal
  onSecondSignal(status)
  const { accepted, bytesIn, bytesOut } = await drain(service, status, options.grace)
  status.stop()
  problems.flush()
  console.log(
    `closed after ${count(accepted, 'connection')}, in ${bytes(bytesIn)}, out ${bytes(bytesOut)}`,
  )
  const ends = [...service.ends].map(([reason, n]) => `${String(n)} ${reason}`)
  if (ends.length > 0) console.log(`tunnels that did not end by themselves: ${ends.join(', ')}`)
}

function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals) process.once(signal, () => resolve())
  })
}

/** From the first signal on, another one ends the process at once, as the shell expects it. */
function onSecondSignal(status: Status): void {
  for (const signal of signals) {
    process.removeAllListeners(signal)
    process.once(signal, () => {
      status.stop()
      process.exit(128 + constants.signals[signal])
    })
  }
}

/** The counters of the end. */
async function drain(service: Service, status: Status, graceMs: number): Promise<Counters> {
  const { clients, listener, reactor } = service
  await listener.close()
  if (clients.open > 0) {
    const wait = `at most ${String(graceMs / 1000)} s; a second signal ends at once`
    status.print(`draining ${count(clients.open, 'connection')}, ${wait}\n`)
    status.mode = 'draining: '
  }
  let counters = service.counters()
  await reactor.drain({
    deadline: graceMs,
    beforeClose: () => {
      if (clients.open > 0) status.print(`ending ${count(clients.open, 'connection')}\n`)
      counters = service.counters()
    },
  })
  return counters
}
