import { MIOBuffer, Reactor, tunnel, type IOBufferReader, type VConnection, type VIO } from 'netvc'

/** What a call is made on. */
export interface Subject {
  vc: VConnection
  other: VConnection
  foreign: VConnection
  vio: VIO
  buffer: MIOBuffer
  reader: IOBufferReader
  reactor: Reactor
}

export const type = 'ERR_INVALID_ARG_TYPE'
export const range = 'ERR_OUT_OF_RANGE'
export const value = 'ERR_INVALID_ARG_VALUE'

/** A wrong argument as anything: the types would not let it through. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Anything = any
export type Row = [
  call: (s: Subject, wrong: Anything) => unknown,
  names: string,
  wrong: [unknown, string][],
]

const notBytes: [unknown, string][] = [
  ['1', type],
  [null, type],
  [{}, type],
  [1n, type],
  [-1, range],
  [1.5, range],
  [NaN, range],
  [-Infinity, range],
  [2 ** 53, range],
]
export const not = (code: string, ...wrong: unknown[]): [unknown, string][] =>
  wrong.map((w) => [w, code])
const handlers = not(type, 1, 'f', {}, { handleEvent: 1 }, true)

/** Calls, what a message must name, and wrong arguments with their codes. */
export const functions: Record<string, Row> = {
  'getData(what)': [
    ({ vc }, w) => void vc.getData(w),
    'what',
    [...not(type, 5, null), ['x', value]],
  ],
  'setData(what)': [({ vc }, w) => vc.setData(w, 1), 'what', [...not(type, 5, null), ['x', value]]],
  'setData(value)': [
    ({ vc }, w) => vc.setData('local', w),
    'value',
    [
      [() => {}, type],
      [Buffer.alloc(65_536), range],
    ],
  ],
  'doIoRead(handler)': [({ vc, buffer }, w) => vc.doIoRead(w, 1, buffer), 'handler', handlers],
  'doIoRead(nbytes)': [
    ({ vc, buffer }, w) => vc.doIoRead(() => {}, w, buffer),
    'nbytes',
    [...notBytes, [undefined, type]],
  ],
  'doIoRead(buffer)': [
    ({ vc }, w) => vc.doIoRead(() => {}, 1, w),
    'buffer',
    not(type, undefined, {}, Buffer.alloc(1), 1),
  ],
  'doIoRead(a reader)': [
    ({ vc, reader }) => vc.doIoRead(() => {}, 1, reader as Anything),
    'buffer',
    [[0, type]],
  ],
  'doIoWrite(handler)': [({ vc, reader }, w) => vc.doIoWrite(w, 1, reader), 'handler', handlers],
  'doIoWrite(nbytes)': [
    ({ vc, reader }, w) => vc.doIoWrite(() => {}, w, reader),
    'nbytes',
    [...notBytes, [undefined, type]],
  ],
  'doIoWrite(reader)': [
    ({ vc }, w) => vc.doIoWrite(() => {}, 1, w),
    'reader',
    not(type, undefined, {}, 'abc', 1),
  ],
  'doIoWrite(a buffer)': [
    ({ vc, buffer }) => vc.doIoWrite(() => {}, 1, buffer as Anything),
    'reader',
    [[0, type]],
  ],
  'write(data)': [
    ({ vc }, w) => vc.write(w),
    'data',
    not(type, undefined, null, 1, {}, [1], new ArrayBuffer(1)),
  ],
  'doIoShutdown(how)': [
    ({ vc }, w) => vc.doIoShutdown(w),
    'how',
    not(type, undefined, null, 'rd', 0, 2),
  ],
  'doIoClose(errno)': [
    ({ vc }, w) => vc.doIoClose(w),
    'errno',
    [...not(type, null, '1', {}), ...not(range, -1, 0.5, NaN, 2 ** 31)],
  ],
  'setSocketOptions(options)': [
    ({ vc }, w) => vc.setSocketOptions(w),
    'options',
    not(type, undefined, null, 1, 'x'),
  ],
  ...socketOptionRows(),
  'setOriginTrace(trace)': [
    ({ vc }, w) => vc.setOriginTrace(w),
    'trace',
    not(type, undefined, null, 1, 'x'),
  ],
  'setOriginTrace({ fd })': [
    ({ vc }, w) => vc.setOriginTrace({ fd: w }),
    'options.fd',
    [...not(type, '1', null), ...not(range, -1, 0.5, 2 ** 31)],
  ],
  'setOriginTrace({ maxBytes })': [
    ({ vc }, w) => vc.setOriginTrace({ maxBytes: w }),
    'options.maxBytes',
    [...not(type, '1', null), ...not(range, -1, 65537, Infinity)],
  ],
  'setOriginTrace({ unknown })': [
    ({ vc }) => vc.setOriginTrace({ file: 'x' } as Anything),
    'file',
    [[0, value]],
  ],
  setOriginTraceAddr: [
    ({ vc }, w) => vc.setOriginTraceAddr(w),
    'host',
    not(type, undefined, null, 1),
  ],
  setOriginTracePort: [
    ({ vc }, w) => vc.setOriginTracePort(w),
    'port',
    [...not(type, undefined, null, '1'), ...not(range, -1, 65536, 0.5, NaN)],
  ],
  'vio.nbytes =': [
    ({ vio }, w) => void (vio.nbytes = w),
    'nbytes',
    [...notBytes, [undefined, type]],
  ],
  'vio.setContinuation': [({ vio }, w) => vio.setContinuation(w), 'handler', handlers],
  'tunnel(a)': [({ other }, w) => tunnel(w, other), '"a"', not(type, undefined, null, {}, 1)],
  'tunnel(b)': [({ vc }, w) => tunnel(vc, w), '"b"', not(type, undefined, null, {}, 1)],
  'tunnel(vc, vc)': [({ vc }) => tunnel(vc, vc), '"b"', [[0, type]]],
  'tunnel(vc, of another reactor)': [({ vc, foreign }) => tunnel(vc, foreign), '"b"', [[0, type]]],
  'tunnel(options)': [
    ({ vc, other }, w) => tunnel(vc, other, w),
    'options',
    not(type, null, 1, 'x'),
  ],
  'tunnel({ blockSize })': [
    ({ vc, other }, w) => tunnel(vc, other, { blockSize: w }),
    'options.blockSize',
    [...not(type, '1', null), ...not(range, 127, 2 ** 21 + 1, 200.5, NaN)],
  ],
  'tunnel({ waterMark })': [
    ({ vc, other }, w) => tunnel(vc, other, { waterMark: w }),
    'options.waterMark',
    [...not(type, '1', null), ...not(range, -1, 0.5, Infinity)],
  ],
  'tunnel({ unknown })': [
    ({ vc, other }) => tunnel(vc, other, { unknown: 1 } as Anything),
    'unknown',
    [[0, value]],
  ],
  'new MIOBuffer(options)': [(_, w) => new MIOBuffer(w), 'options', not(type, null, 1, 'x')],
  'new MIOBuffer({ blockSize })': [
    (_, w) => new MIOBuffer({ blockSize: w }),
    'options.blockSize',
    [...not(type, '1', null), ...not(range, 0, 127, 2 ** 21 + 1, NaN)],
  ],
  'new MIOBuffer({ waterMark })': [
    (_, w) => new MIOBuffer({ waterMark: w }),
    'options.waterMark',
    [...not(type, '1', null), ...not(range, -1, 0.5)],
  ],
  'new MIOBuffer({ unknown })': [
    () => new MIOBuffer({ watermark: 1 } as Anything),
    'watermark',
    [[0, value]],
  ],
  'buffer.write': [
    ({ buffer }, w) => buffer.write(w),
    'bytes',
    not(type, undefined, null, 1, {}, [1]),
  ],
  'buffer.writeFrom(reader)': [
    ({ buffer }, w) => buffer.writeFrom(w),
    'reader',
    not(type, undefined, null, {}, 'x'),
  ],
  'buffer.writeFrom(n)': [({ buffer, reader }, w) => buffer.writeFrom(reader, w), '"n"', notBytes],
  'buffer.writeFrom(offset)': [
    ({ buffer, reader }, w) => buffer.writeFrom(reader, 1, w),
    'offset',
    notBytes,
  ],
  'buffer.waterMark =': [
    ({ buffer }, w) => void (buffer.waterMark = w),
    'waterMark',
    [...notBytes, [undefined, type]],
  ],
  'reader.read': [({ reader }, w) => reader.read(w), '"n"', notBytes],
  'reader.peek(target)': [
    ({ reader }, w) => reader.peek(w),
    'target',
    not(type, undefined, null, 'x', [1], new ArrayBuffer(1)),
  ],
  'reader.readInto': [
    ({ reader }, w) => reader.readInto(w),
    'target',
    not(type, undefined, null, 'x', [1], new ArrayBuffer(1)),
  ],
  'reader.peek(offset)': [({ reader }, w) => reader.peek(Buffer.alloc(1), w), 'offset', notBytes],
  'reader.consume': [
    ({ reader }, w) => reader.consume(w),
    '"n"',
    [...notBytes, [undefined, type], [4, range]],
  ],
  'reader.indexOf(byte)': [
    ({ reader }, w) => reader.indexOf(w),
    'byte',
    not(range, undefined, '1', -1, 256, 1.5),
  ],
  'reader.indexOf(n)': [({ reader }, w) => reader.indexOf(1, w), '"n"', notBytes],
  'reader.indexOf(offset)': [({ reader }, w) => reader.indexOf(1, 1, w), 'offset', notBytes],
  'reader.sizeLimit =': [
    ({ reader }, w) => void (reader.sizeLimit = w),
    'sizeLimit',
    [...notBytes, [undefined, type]],
  ],
  'new Reactor(options)': [(_, w) => new Reactor(w), 'options', not(type, null, 1, 'x')],
  'new Reactor({ threads })': [
    (_, w) => new Reactor({ threads: w }),
    'options.threads',
    [...not(type, '1', null), ...not(range, -1, 257, 1.5, NaN)],
  ],
  'new Reactor({ unknown })': [
    () => new Reactor({ thread: 1 } as Anything),
    'thread',
    [[0, value]],
  ],
}

/** Options that are set on an open connection, and values that no kernel is asked to take. */
function socketOptionRows(): Record<string, Row> {
  const flag = not(type, 1, 'yes', null)
  const whole = (min: number, max: number): [unknown, string][] => [
    ...not(type, '1', null, true),
    ...not(range, min - 1, max + 1, min + 0.5, NaN),
  ]
  const int = 0x7fffffff
  const wrong: Record<string, [unknown, string][]> = {
    noDelay: flag,
    keepAlive: [
      ...not(type, 1, 'yes', null, { idle: '1' }),
      ...not(range, { idle: 0 }, { interval: 32768 }, { count: 128 }),
      ...not(value, { keepAlive: 1 }),
    ],
    receiveBufferSize: whole(1, int),
    sendBufferSize: whole(1, int),
    tos: whole(0, 255),
    mark: whole(0, int),
    congestionControl: not(type, '', 1, null),
    notSentLowat: whole(0, int),
    userTimeout: whole(0, int),
    outOfBandInline: flag,
    maxSegmentSize: [[700, value]], // too late
    unknown: [[1, value]],
  }
  return Object.fromEntries(
    Object.entries(wrong).map(([name, values]): [string, Row] => [
      `setSocketOptions({ ${name} })`,
      [({ vc }, w) => vc.setSocketOptions({ [name]: w }), name, values],
    ]),
  )
}
