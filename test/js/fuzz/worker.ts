// A JavaScript thread of a round beside the main one. It is told what to do by messages, reports, and
// then has to end by itself.
import { parentPort, workerData } from 'node:worker_threads'
import { Board } from './board.js'
import { Books, Thrown } from './books.js'
import { Stage, type Setting } from './stage.js'

export interface WorkerData {
  setting: Setting
  thread: number
  memory: SharedArrayBuffer
  addresses: string[]
  print: boolean
}

const { setting, thread, memory, addresses, print } = workerData as WorkerData
const port = parentPort!
const books = new Books(thread, new Board(memory), print)
const stage = new Stage(setting, books)
stage.addresses.push(...addresses)

process.on('uncaughtException', (error) => {
  if (error instanceof Thrown) books.caught++
  else books.fault(`uncaught: ${String(error.stack)}`)
})
process.on('unhandledRejection', (error) => {
  books.fault(`unhandled: ${error instanceof Error ? String(error.stack) : String(error)}`)
})

const told = (word: string) =>
  new Promise<void>((resolve) => {
    const listen = (message: unknown) => {
      if (message !== word) return
      port.off('message', listen)
      resolve()
    }
    port.on('message', listen)
  })

port.postMessage('ready')
await told('go')
for (let i = 0; i < setting.steps && !books.board.failed; i++) await stage.step(i)
port.postMessage('stepped')
await told('calm')
await stage.calm()
port.postMessage('calm')
await told('close')
await stage.close()
port.postMessage({ report: books.report(), trail: books.trail })
