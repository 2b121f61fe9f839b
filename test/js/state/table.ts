import { openSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import {
  tunnel,
  writeMany,
  type IOBufferReader,
  type Listener,
  type MIOBuffer,
  type Reactor,
  type VConnection,
  type VIO,
} from 'netvc'
import type { World } from '../support/fixture.js'

/** What a call can meet. */
export interface Subject {
  world: World
  vc: VConnection
  peer: VConnection
  read: VIO
  write: VIO
  /** Free to be used by the call. */
  buffer: MIOBuffer
  reader: IOBufferReader
  listener: Listener
  reactor: Reactor
  /** Another open connection of the same reactor. */
  other: VConnection
}

export const states = [
  'open',
  'half-closed by the peer',
  'shut for writing',
  'shut for reading',
  'shut both ways',
  'closing in a handler',
  'closing with unsent bytes',
  'closed',
  'tunneled',
  'reactor closed',
] as const
export type State = (typeof states)[number]

/** The outcome of a call: `ok`, the code it throws, or `rejects` and the code. */
export type Outcomes = Partial<Record<State, string>>

const gone = (code: string): Outcomes => ({
  'closing in a handler': code,
  'closing with unsent bytes': code,
  closed: code,
  'reactor closed': code,
})

const anywhere: Outcomes = {}
const whileOpen: Outcomes = { ...gone('ERR_VC_CLOSED'), tunneled: 'ERR_VC_TUNNELED' }
/** A cancel form is tolerated on a closed connection (VC-1). */
const cancelling: Outcomes = { tunneled: 'ERR_VC_TUNNELED' }
const reading: Outcomes = {
  ...whileOpen,
  'shut for reading': 'ERR_VC_SHUT',
  'shut both ways': 'ERR_VC_SHUT',
}
const writing: Outcomes = {
  ...whileOpen,
  'shut for writing': 'ERR_VC_SHUT',
  'shut both ways': 'ERR_VC_SHUT',
}
const pulling: Outcomes = {
  ...reading,
  open: 'ERR_VC_READING',
  'shut for writing': 'ERR_VC_READING',
}
/** Not a unix socket; of what is gone nobody asks what it was. */
const noCredentials: Outcomes = {
  ...Object.fromEntries(states.map((s) => [s, 'EOPNOTSUPP'])),
  ...gone('ok'),
}
/** A tunnel goes on while it is looked at and adjusted. */
const adjusting: Outcomes = gone('ERR_VC_CLOSED')
const joining: Outcomes = { ...reading, ...writing }
const promising: Outcomes = {
  ...gone('rejects ERR_VC_CLOSED'),
  tunneled: 'rejects ERR_VC_TUNNELED',
}
const reacting: Outcomes = { 'reactor closed': 'rejects ERR_REACTOR_CLOSED' }

const nowhere = openSync('/dev/null', 'w')

type Row = [call: (s: Subject) => unknown, outcomes: Outcomes]

/** Every method and property that a connection and its operations have, and where it is blocked. */
export const connectionCalls: Record<string, Row> = {
  'vc.id': [({ vc }) => vc.id, anywhere],
  'vc.closed': [({ vc }) => vc.closed, anywhere],
  'vc.error': [({ vc }) => vc.error, anywhere],
  'vc.remoteAddress': [({ vc }) => vc.remoteAddress, anywhere],
  'vc.remoteHost': [({ vc }) => vc.remoteHost, anywhere],
  'vc.remotePort': [({ vc }) => vc.remotePort, anywhere],
  'vc.localAddress': [({ vc }) => vc.localAddress, anywhere],
  'vc.localHost': [({ vc }) => vc.localHost, anywhere],
  'vc.localPort': [({ vc }) => vc.localPort, anywhere],
  'vc.writableLength': [({ vc }) => vc.writableLength, anywhere],
  'vc.inspect': [({ vc }) => vc.inspect(), anywhere],
  'vc.doIoRead': [({ vc, buffer }) => vc.doIoRead(() => {}, 5, buffer), reading],
  'vc.doIoRead(_, 0, buffer)': [({ vc, buffer }) => vc.doIoRead(() => {}, 0, buffer), reading],
  'vc.doIoRead(null, 0, null)': [({ vc }) => vc.doIoRead(null, 0, null), cancelling],
  'vc.doIoWrite': [({ vc, reader }) => vc.doIoWrite(() => {}, 5, reader), writing],
  'vc.doIoWrite(null, 0, null)': [({ vc }) => vc.doIoWrite(null, 0, null), cancelling],
  'vc.write': [({ vc }) => vc.write('abc'), writing],
  'vc.write large': [({ vc }) => vc.write(Buffer.alloc(70_000)), writing],
  'vc.write nothing': [({ vc }) => vc.write(''), writing],
  'vc.drained': [({ vc }) => vc.drained(), promising],
  'vc.write with options': [({ vc }) => vc.write('abc', {}), writing],
  'vc.write of pieces': [({ vc }) => vc.write(['a', 'bc']), writing],
  'vc.write with a promise': [
    ({ vc }) => vc.write('abc', { completion: true }),
    {
      ...promising,
      'shut for writing': 'rejects ERR_VC_SHUT',
      'shut both ways': 'rejects ERR_VC_SHUT',
    },
  ],
  'vc.write with a callback': [({ vc }) => vc.write('abc', { completion: () => {} }), anywhere],
  writeMany: [({ vc }) => writeMany([vc], 'abc'), anywhere],
  'vc.failed, failure': [({ vc }) => [vc.failed, vc.failure], anywhere],
  'vc.setFailed': [({ vc }) => vc.setFailed('x'), anywhere],
  'vc.onFailed': [({ vc }) => vc.onFailed(() => {}), anywhere],
  'vc.overcrowded': [({ vc }) => vc.overcrowded, anywhere],
  'vc.maxUnwritten': [({ vc }) => vc.maxUnwritten, anywhere],
  'vc.maxUnwritten =': [({ vc }) => (vc.maxUnwritten = 1 << 20), anywhere],
  'vc.setWriteMarks': [({ vc }) => vc.setWriteMarks(1 << 20), anywhere],
  'vc.popPipelined': [({ vc }) => vc.popPipelined(), anywhere],
  'vc.assign': [
    ({ vc }) => vc.assign(1 << 20),
    // Of a reactor that is not shared, if the state does not refuse it before.
    { ...Object.fromEntries(states.map((s) => [s, 'ERR_NOT_SHARED'])), ...whileOpen },
  ],
  'vc.closeGracefully': [({ vc }) => vc.closeGracefully(), anywhere],
  'vc.closeWithReset': [({ vc }) => vc.closeWithReset(), anywhere],
  "vc.doIoShutdown('read')": [({ vc }) => vc.doIoShutdown('read'), whileOpen],
  "vc.doIoShutdown('write')": [({ vc }) => vc.doIoShutdown('write'), whileOpen],
  "vc.doIoShutdown('both')": [({ vc }) => vc.doIoShutdown('both'), whileOpen],
  'vc.trapWriteBufferEmpty': [({ vc }) => vc.trapWriteBufferEmpty(), writing],
  // One that is read by doIoRead, unless it was shut.
  'vc.readable': [({ vc }) => vc.readable, pulling],
  'vc[Symbol.asyncIterator]': [({ vc }) => vc[Symbol.asyncIterator](), pulling],
  'vc.writable': [({ vc }) => vc.writable, writing],
  'vc.setSocketOptions': [({ vc }) => vc.setSocketOptions({ noDelay: true }), adjusting],
  'vc.socketOptions': [({ vc }) => vc.socketOptions(), anywhere],
  "vc.getData('local'), 'readVio', 'closed'": [
    ({ vc }) => [vc.getData('local'), vc.getData('readVio'), vc.getData('closed')],
    anywhere,
  ],
  "vc.setData('local')": [({ vc }) => vc.setData('local', 'x'), adjusting],
  'vc.peerCredentials': [({ vc }) => vc.peerCredentials(), noCredentials],
  'vc.tcpInfo': [({ vc }) => vc.tcpInfo(), anywhere],
  'vc.sendOOB': [
    ({ vc }) => vc.sendOOB('!'),
    {
      ...promising,
      'shut for writing': 'rejects ERR_VC_SHUT',
      'shut both ways': 'rejects ERR_VC_SHUT',
    },
  ],
  'vc.cancelOOB': [({ vc }) => vc.cancelOOB(), cancelling],
  'vc.setOriginTrace': [({ vc }) => vc.setOriginTrace({ fd: nowhere }), adjusting],
  'vc.setOriginTrace(false)': [({ vc }) => vc.setOriginTrace(false), anywhere],
  'vc.setOriginTraceAddr': [({ vc }) => vc.setOriginTraceAddr('10.0.0.1'), adjusting],
  'vc.setOriginTracePort': [({ vc }) => vc.setOriginTracePort(80), adjusting],
  'vc.doIoClose': [({ vc }) => vc.doIoClose(), anywhere],
  'vc.doIoClose(errno)': [({ vc }) => vc.doIoClose(5), anywhere],
  'vc[Symbol.dispose]': [({ vc }) => vc[Symbol.dispose](), anywhere],
  tunnel: [({ vc, other }) => tunnel(vc, other), joining],
  'tunnel, as b': [({ vc, other }) => tunnel(other, vc), joining],
  ...vioCalls('read'),
  ...vioCalls('write'),
  'listener.addresses': [({ listener }) => listener.addresses.length, anywhere],
  'listener.listening': [({ listener }) => listener.listening, anywhere],
  'listener.error': [({ listener }) => listener.error, anywhere],
  'listener.pause, paused, resume': [
    ({ listener }) => {
      listener.pause()
      if (listener.paused) listener.resume()
    },
    anywhere,
  ],
  'listener.close': [({ listener }) => listener.close(), anywhere],
  'listener[Symbol.asyncDispose]': [({ listener }) => listener[Symbol.asyncDispose](), anywhere],
  'reactor.listen': [({ reactor }) => reactor.listen('tcp://127.0.0.1:0', () => {}), reacting],
  'reactor.connect': [
    // Its own listener, since a call before may have closed the other one.
    async ({ reactor }) => {
      const l = await reactor.listen('tcp://127.0.0.1:0', (vc) => vc.doIoClose())
      return reactor.connect(l.addresses[0])
    },
    reacting,
  ],
  'reactor.connect alone': [
    ({ reactor, listener }) => reactor.connect(listener.addresses[0]).then((vc) => vc.doIoClose()),
    reacting,
  ],
  'reactor.adopt': [
    ({ reactor }) =>
      reactor.adopt(1_000_000).catch((error: { code: string }) => {
        // Allowed here means: the attempt was made.
        if (error.code !== 'EBADF') throw error
      }),
    reacting,
  ],
  'reactor.fromStream': [
    ({ reactor }) => reactor.fromStream(new PassThrough()).doIoClose(),
    { 'reactor closed': 'ERR_REACTOR_CLOSED' },
  ],
  'reactor.stats': [({ reactor }) => reactor.stats().open, anywhere],
  'reactor.ref, unref': [({ reactor }) => reactor.unref().ref(), anywhere],
  'reactor.closed': [({ reactor }) => reactor.closed, anywhere],
  'reactor.threads': [({ reactor }) => reactor.threads, anywhere],
}

function vioCalls(side: 'read' | 'write'): Record<string, Row> {
  const rows: Record<string, Row> = {
    'vio.nbytes': [(s) => s[side].nbytes, anywhere],
    'vio.ndone': [(s) => s[side].ndone, anywhere],
    'vio.ntodo': [(s) => s[side].ntodo, anywhere],
    'vio.vc, side, buffer, reader': [
      (s) => [s[side].vc, s[side].side, s[side].buffer, s[side].reader],
      anywhere,
    ],
    'vio.nbytes =': [(s) => (s[side].nbytes = 10), whileOpen],
    'vio.reenable': [(s) => s[side].reenable(), whileOpen],
    'vio.reenableRe': [(s) => s[side].reenableRe(), whileOpen],
    'vio.done': [(s) => s[side].done(), whileOpen],
    'vio.setContinuation': [(s) => s[side].setContinuation(() => {}), whileOpen],
    'vio.setContinuation(null)': [(s) => s[side].setContinuation(null), whileOpen],
  }
  return Object.fromEntries(Object.entries(rows).map(([name, row]) => [`${side} ${name}`, row]))
}

/** Calls on a buffer (and a reader of it): outcome when it is [freed, its reader is deallocated]. */
export const bufferCalls: Record<
  string,
  [(b: MIOBuffer, r: IOBufferReader, live: MIOBuffer) => unknown, freed: string, dealloced: string]
> = {
  'buffer.allocReader': [(b) => b.allocReader(), 'ERR_BUFFER_FREED', 'ok'],
  'buffer.write': [(b) => b.write('abc'), 'ERR_BUFFER_FREED', 'ok'],
  'buffer.writeFrom': [(b, _, live) => b.writeFrom(live.allocReader()), 'ERR_BUFFER_FREED', 'ok'],
  'writeFrom(reader)': [(_, r, live) => live.writeFrom(r), 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
  'buffer.maxReadAvail': [(b) => b.maxReadAvail, 'ERR_BUFFER_FREED', 'ok'],
  'buffer.writeAvail': [(b) => b.writeAvail, 'ERR_BUFFER_FREED', 'ok'],
  'buffer.highWater': [(b) => b.highWater, 'ERR_BUFFER_FREED', 'ok'],
  'buffer.waterMark': [(b) => b.waterMark, 'ERR_BUFFER_FREED', 'ok'],
  'buffer.waterMark =': [(b) => (b.waterMark = 10), 'ERR_BUFFER_FREED', 'ok'],
  'buffer.produced': [(b) => b.produced, 'ERR_BUFFER_FREED', 'ok'],
  'buffer.readerCount': [(b) => b.readerCount, 'ERR_BUFFER_FREED', 'ok'],
  'buffer.free': [(b) => b.free(), 'ok', 'ok'],
  'reader.buffer': [(_, r) => r.buffer, 'ok', 'ok'],
  'reader.readAvail': [(_, r) => r.readAvail, 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
  'reader.read': [(_, r) => r.read(), 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
  'reader.peek': [(_, r) => r.peek(Buffer.alloc(2)), 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
  'reader.readInto': [
    (_, r) => r.readInto(Buffer.alloc(2)),
    'ERR_BUFFER_FREED',
    'ERR_READER_CLOSED',
  ],
  'reader.borrow': [(_, r) => r.borrow(), 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
  'reader.consume': [(_, r) => r.consume(0), 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
  'reader.indexOf': [(_, r) => r.indexOf(10), 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
  'reader.sizeLimit': [(_, r) => r.sizeLimit, 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
  'reader.sizeLimit =': [(_, r) => (r.sizeLimit = 10), 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
  'reader.clone': [(_, r) => r.clone(), 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
  'reader.dealloc': [(_, r) => r.dealloc(), 'ERR_BUFFER_FREED', 'ERR_READER_CLOSED'],
}
