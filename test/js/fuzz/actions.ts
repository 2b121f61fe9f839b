// Everything public that the fuzzer calls, a row each: a new call of the API is a new row here. A row
// may do what is senseless; an error with a code of docs/errors.md is a good answer. What it must not
// do is to make the oracles wrong: who takes bytes gives them to End.got, who sends them uses send().
import { Reactor, writeMany, type VCHandle } from 'netvc'
import { Mark } from './board.js'
import { fanOut, messageOf, urgent } from './frames.js'
import { join } from './joining.js'
import { reading } from './reading.js'
import { onFailed, own, readable, send, type Call, type Row } from './rows.js'
import { closings, writing } from './writing.js'

export { onReactors } from './reactors.js'
const others: Row[] = [
  own('doIoShutdown', ({ end, vc, chance }) => {
    const how = chance.pick(['read', 'write', 'write', 'both'] as const)
    if (how !== 'write') {
      end.lose() // what has come and was not told is dropped
      if (end.reads === 'stream') end.over = true // and its stream is not told of an end
    }
    vc.doIoShutdown(how)
  }),
  own('setInactivityTimeout', ({ vc, chance }) => vc.setInactivityTimeout(chance.below(40))),
  own('setActiveTimeout', ({ vc, chance }) => vc.setActiveTimeout(chance.below(60))),
  own('cancel timeouts', ({ vc }) => {
    vc.cancelInactivityTimeout()
    vc.cancelActiveTimeout()
    return [vc.inactivityTimeout, vc.activeTimeout]
  }),
  own('addToKeepAliveQueue', ({ vc }) => vc.addToKeepAliveQueue()),
  own('addToActiveQueue', ({ vc }) => vc.addToActiveQueue()),
  own('removeFromQueues', ({ vc }) => vc.removeFromQueues()),
  own('sendOOB', ({ vc }) => vc.sendOOB(Buffer.of(urgent))),
  own('cancelOOB', ({ vc }) => vc.cancelOOB()),
  own('setOriginTrace', ({ vc, stage, chance }) =>
    vc.setOriginTrace(chance.oneIn(2) ? false : { fd: stage.nowhere, maxBytes: chance.below(99) }),
  ),
  own('setOriginTraceAddr, Port', ({ vc, chance }) => {
    vc.setOriginTraceAddr('10.0.0.1')
    vc.setOriginTracePort(chance.below(70_000))
  }),
  own('setSocketOptions', ({ vc, chance }) =>
    vc.setSocketOptions(
      chance.pick([
        { noDelay: false },
        { keepAlive: { idle: 5 } },
        { sendBufferSize: 4096 },
        { receiveBufferSize: 4096 },
        { tos: 16 },
        { notSentLowat: 4096 },
        { outOfBandInline: true },
        { congestionControl: 'nobody' },
      ]),
    ),
  ),
  own('socketOptions, tcpInfo, inspect', ({ vc }) => [
    vc.socketOptions(),
    vc.tcpInfo(),
    vc.inspect(),
  ]),
  own('properties', ({ vc }) => [
    ...[vc.id, vc.closed, vc.failed, vc.failure, vc.error, vc.available, vc.overcrowded, vc.pair],
    ...[vc.remoteAddress, vc.remoteHost, vc.remotePort, vc.localAddress, vc.localHost],
    ...[vc.localPort, vc.writableLength, vc.maxUnwritten, vc.writableHighWaterMark],
  ]),
  own('setLogOff', ({ vc }) => vc.setLogOff()),
  own('onFailed', ({ vc, stage, chance }) => onFailed(vc, stage, chance)),
  own('migrate', ({ end, vc, chance, stage }) =>
    vc.migrate(chance.below(Math.max(1, stage.reactor.threads))).then(() => {
      if (stage.quiet) {
        end.settling = false
        stage.settle(end)
      } else if (end.reads === 'operation') end.read(Infinity, chance)
    }),
  ),
  own('assign', ({ end, vc, stage, chance }) => {
    // Whoever gets it goes on with the next byte, and has to know which that is.
    if (!stage.setting.shared || !readable(end) || !end.parser?.between) return
    end.noClones()
    vc.assign(chance.pick(stage.reactor.workers()).threadId)
    end.handOver('given')
  }),
  own('tunnel', ({ end, stage, chance }) => {
    const other = stage.any(chance)
    if (other && stage.ends.length > 3) join(end, other, chance)
  }),
]

export const onConnections: readonly Row[] = [
  ...reading,
  ...writing,
  ...others,
  // Ends are rarer than the rest, or nothing lives long.
  ...closings,
]

const byId = (
  name: string,
  run: (call: Call & { handle: VCHandle; label: number }) => unknown,
): Row => [
  `by id: ${name}`,
  (call) => {
    const { board } = call.stage.books
    if (board.size === 0) return undefined
    const label = 1 + call.chance.below(board.size)
    const handle = Reactor.address(board.id(label))
    call.stage.books.trace(`  of #${String(label)}${handle ? '' : ', gone'}`)
    return handle && run({ ...call, handle, label })
  },
]

export const onIds: readonly Row[] = [
  byId('write', (call) => send(call, call.handle, call.label)),
  byId('write, many', (call) => {
    for (let i = 0; i < 6; i++) send(call, call.handle, call.label)
  }),
  byId('drained', ({ handle }) => handle.drained()),
  byId('onFailed', ({ handle, stage, chance }) => onFailed(handle, stage, chance)),
  byId('properties', ({ handle }) => [
    ...[handle.id, handle.closed, handle.failed, handle.failure, handle.available],
    ...[handle.remoteAddress, handle.localPort, handle.writableLength, handle.overcrowded],
  ]),
  byId('inspect', ({ handle }) => handle.inspect()),
  byId('popPipelined', ({ handle }) => handle.popPipelined()),
  byId('close', ({ handle, label, stage, chance }) => {
    if (!chance.oneIn(3)) return
    const how = chance.below(5)
    if (how > 0) stage.books.board.mark(label, Mark.cut)
    if (how === 0) handle.doIoClose()
    else if (how === 1) handle.doIoClose(104)
    else if (how === 2) handle.closeGracefully(chance.below(200))
    else if (how === 3) handle.closeWithReset()
    else handle.setFailed('by id')
  }),
  byId('assign', ({ handle, label, stage, chance }) => {
    // Of a connection that is not parked it is refused.
    const end = stage.ends.find((one) => one.label === label)
    if (!end) handle.assign(chance.below(4))
  }),
  [
    'writeMany',
    ({ stage, chance }) => {
      const { board, thread } = stage.books
      if (board.size === 0) return undefined
      const ids = Array.from({ length: 1 + chance.below(5) }, () =>
        board.id(1 + chance.below(board.size)),
      )
      return writeMany(new Set(ids), messageOf(fanOut, thread, stage.fanOuts++, chance.below(3000)))
    },
  ],
]
