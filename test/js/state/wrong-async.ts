import { not, range, type, value, type Row } from './wrong.js'

const address = 'ERR_INVALID_ADDRESS'
const tcp = 'tcp://127.0.0.1:0'

const addresses: [unknown, string][] = [
  ...not(type, undefined, null, 1, {}),
  ...not(
    address,
    '',
    '127.0.0.1:80',
    'udp://127.0.0.1:1',
    'tcp://',
    'tcp://:80',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:',
  ),
  ...not(
    address,
    'tcp://127.0.0.1:65536',
    'tcp://127.0.0.1:-1',
    'tcp://1.2.3:1',
    'tcp://[::g]:1',
    'tcp://[]:1',
    'tcp://h:1/x',
  ),
  ...not(address, 'unix://', 'unix://@', `unix://${'x'.repeat(108)}`, 'unix:///a\0b'),
]

const flag = not(type, 1, 'yes', null)
const whole = (min: number, max: number): [unknown, string][] => [
  ...not(type, '1', null, true),
  ...not(range, min - 1, max + 1, min + 0.5, NaN),
]
const int = 0x7fffffff
const string = not(type, '', 1, null)
const signal = not(type, {}, null, true)

const common: Record<string, [unknown, string][]> = {
  noDelay: flag,
  keepAlive: [
    ...flag,
    ...not(type, { idle: '1' }),
    ...not(range, { idle: 0 }, { interval: 32768 }, { count: 0 }),
    ...not(value, { delay: 1 }),
  ],
  resetOnClose: flag,
  receiveBufferSize: whole(0, int),
  sendBufferSize: whole(0, int),
  mark: whole(0, int),
  tos: whole(0, 255),
  congestionControl: string,
  notSentLowat: whole(0, int),
  userTimeout: whole(0, int),
  maxSegmentSize: whole(88, 32767),
  unknown: [
    [1, value],
    [undefined, value],
  ],
}
const options: Record<'listen' | 'connect', Record<string, [unknown, string][]>> = {
  listen: {
    ...common,
    backlog: whole(1, int),
    reusePort: flag,
    ipv6Only: flag,
    deferAcceptSeconds: whole(0, int),
    fastOpenQueue: whole(0, int),
    transparent: flag,
    acceptsPerWakeup: whole(1, 4096),
    acceptOnEveryThread: flag,
    acceptThreads: whole(0, 64),
    fd: whole(0, int),
    signal,
  },
  connect: {
    ...common,
    timeout: whole(0, int),
    localAddress: string,
    localPort: whole(0, 65535),
    localPortRange: [
      ...not(type, 5, null, [5], [1, 2, 3], ['1', 2]),
      ...not(range, [0, 5], [5, 4], [1, 65536], [1.5, 2]),
    ],
    transparent: flag,
    fastOpen: flag,
    signal,
  },
}

/** Promises are made by calling: an exception would not be a rejection. */
export const asynchronous: Record<string, Row> = {
  'listen(address)': [
    ({ reactor }, w) => reactor.listen(w, () => {}),
    'address',
    [...addresses, [[], type], [[1], type], [[tcp, 'x'], address]],
  ],
  'listen(handler)': [
    ({ reactor }, w) => reactor.listen(tcp, w, {}),
    'handler',
    not(type, null, {}, 'f'),
  ],
  'listen(options)': [
    ({ reactor }, w) => reactor.listen(tcp, () => {}, w),
    'options',
    not(type, null, 1, 'x'),
  ],
  'connect(address)': [
    ({ reactor }, w) => reactor.connect(w),
    'address',
    [...addresses, [[tcp], type]],
  ],
  'connect(options)': [
    ({ reactor }, w) => reactor.connect(tcp, w),
    'options',
    not(type, null, 1, 'x'),
  ],
  sendOOB: [({ vc }, w) => vc.sendOOB(w), 'data', not(type, undefined, null, 1, {}, [1])],
  adopt: [
    ({ reactor }, w) => reactor.adopt(w),
    'fd',
    [...not(type, undefined, null, '0', {}), ...not(range, -1, 0.5, NaN, 2 ** 31)],
  ],
  ...optionRows('listen', ({ reactor }, o) => reactor.listen(tcp, () => {}, o)),
  ...optionRows('connect', ({ reactor }, o) => reactor.connect(tcp, o)),
}

function optionRows(kind: 'listen' | 'connect', call: Row[0]): Record<string, Row> {
  const rows = Object.entries(options[kind]).map(([name, wrong]): [string, Row] => [
    `${kind}({ ${name} })`,
    [(s, w) => call(s, { [name]: w }), name, wrong],
  ])
  return Object.fromEntries(rows)
}
