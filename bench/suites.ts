// What is measured: suites of servers, the loads each of them gets, and the ratios
// netvc has promised. Everything else in bench/ is mechanism.

export interface ServerSpec {
  /** Unique in its suite; names the server in results and reports. */
  id: string
  /** A compiled peer program, or a C++ program that CMake builds. */
  program: { peer: string } | { native: string }
  args?: string[]
}

export interface Configuration {
  id: string
  title: string
  /** Command line of the load generator, without target and server. */
  load: string[]
  servers: string[]
  /** Ratios are taken against it, and it runs twice per round to show the noise. */
  reference: string
  /** Start the server anew for each measurement: its memory is measured, not its speed. */
  fresh?: boolean
}

export interface Suite {
  id: string
  title: string
  /** Proxies get a backend, which lives inside the load generator. */
  proxy: boolean
  servers: ServerSpec[]
  configurations: Configuration[]
}

export interface Target {
  suite: string
  configuration: string
  server: string
  against: string
  /** Server CPU per message, as a ratio, is to be at most this. */
  atMost: number
  /** Of this server only the thread that runs JavaScript counts. */
  jsThread?: boolean
}

const echo: Suite = {
  id: 'echo',
  title: 'Echo handled by the application',
  proxy: false,
  servers: [
    { id: 'netvc inline', program: { peer: 'netvc-echo' } },
    { id: 'netvc threads:1', program: { peer: 'netvc-echo' }, args: ['--threads', '1'] },
    { id: 'netvc inline, borrowed', program: { peer: 'netvc-echo' }, args: ['--borrow'] },
    { id: 'node:net', program: { peer: 'node-echo' } },
    { id: 'C++ epoll', program: { native: 'netvc_echo_epoll' } },
    { id: 'netvc inline, each', program: { peer: 'netvc-echo' }, args: ['--each', '64'] },
    {
      id: 'netvc threads:1, each',
      program: { peer: 'netvc-echo' },
      args: ['--each', '64', '--threads', '1'],
    },
    { id: 'node:net, each', program: { peer: 'node-echo' }, args: ['--each', '64'] },
    {
      id: 'node:net, each, corked',
      program: { peer: 'node-echo' },
      args: ['--each', '64', '--cork'],
    },
  ],
  configurations: [
    {
      id: '64x64B',
      title: '64 connections, 1 message of 64 B outstanding on each',
      load: ['echo', '--connections', '64', '--size', '64'],
      servers: ['netvc inline', 'netvc threads:1', 'node:net', 'C++ epoll'],
      reference: 'node:net',
    },
    {
      id: '64x16KiB',
      title: '64 connections, 1 message of 16 KiB outstanding on each',
      load: ['echo', '--connections', '64', '--size', '16384'],
      servers: [
        'netvc inline',
        'netvc inline, borrowed',
        'netvc threads:1',
        'node:net',
        'C++ epoll',
      ],
      reference: 'node:net',
    },
    {
      id: '64x16x64B-each',
      title: '64 connections, 16 pipelined messages of 64 B, each answered with its own write',
      load: ['pipe', '--connections', '64', '--outstanding', '16', '--size', '64'],
      servers: [
        'netvc inline, each',
        'netvc threads:1, each',
        'node:net, each',
        'node:net, each, corked',
        'C++ epoll',
      ],
      reference: 'node:net, each',
    },
  ],
}

const proxies = ['netvc tunnel', 'node pipe', 'C++ epoll proxy', 'haproxy', 'nginx stream']

const tunnel: Suite = {
  id: 'tunnel',
  title: 'TCP proxy, nobody looks at the bytes',
  proxy: true,
  servers: [
    { id: 'netvc tunnel', program: { peer: 'netvc-proxy' }, args: ['--threads', '1'] },
    { id: 'node pipe', program: { peer: 'node-proxy' } },
    { id: 'C++ epoll proxy', program: { native: 'netvc_proxy_epoll' } },
    { id: 'haproxy', program: { peer: 'haproxy' } },
    { id: 'nginx stream', program: { peer: 'nginx' } },
  ],
  configurations: [
    {
      id: '64x64B',
      title: '64 connections, 1 message of 64 B outstanding on each, echoed by the backend',
      load: ['echo', '--backend', 'echo', '--connections', '64', '--size', '64'],
      servers: proxies,
      reference: 'node pipe',
    },
    {
      id: '64x16KiB',
      title: '64 connections, 1 message of 16 KiB outstanding on each, echoed by the backend',
      load: ['echo', '--backend', 'echo', '--connections', '64', '--size', '16384'],
      servers: proxies,
      reference: 'node pipe',
    },
    {
      id: 'bulk',
      title: '8 connections, as many bytes as they take, one way',
      load: ['bulk', '--backend', 'sink', '--direction', 'one', '--connections', '8'],
      servers: proxies,
      reference: 'node pipe',
    },
  ],
}

const churn: Suite = {
  id: 'churn',
  title: 'Short connections',
  proxy: false,
  servers: echo.servers,
  configurations: [
    {
      id: '64-in-flight',
      title: 'connect, one echo of 64 B, close; 64 in flight',
      load: ['churn', '--connections', '64', '--size', '64'],
      servers: ['netvc inline', 'netvc threads:1', 'node:net', 'C++ epoll'],
      reference: 'node:net',
    },
  ],
}

const stormServers = ['netvc inline', 'netvc threads:1', 'node:net', 'C++ epoll']

const storm: Suite = {
  id: 'storm',
  title: '100 busy connections, alone and while others connect (AC-7)',
  proxy: false,
  servers: echo.servers,
  configurations: [
    {
      id: 'quiet',
      title: '100 connections, 1 message of 64 B outstanding on each',
      load: ['echo', '--connections', '100', '--size', '64'],
      servers: stormServers,
      reference: 'node:net',
    },
    {
      id: 'storm',
      title: 'the same, while 200 connects are under way at any time: compare p99',
      load: ['echo', '--connections', '100', '--size', '64', '--storm', '200'],
      servers: stormServers,
      reference: 'node:net',
    },
  ],
}

const idle: Suite = {
  id: 'idle',
  title: 'Idle connections',
  proxy: false,
  servers: echo.servers,
  configurations: [
    {
      id: '10000',
      title: '10,000 open connections, untouched, then one echo on each',
      load: ['idle', '--connections', '10000'],
      servers: ['netvc inline', 'netvc threads:1', 'node:net', 'C++ epoll'],
      reference: 'node:net',
      fresh: true,
    },
  ],
}

const streams = ['netvc/net', 'netvc stream', 'netvc stream, threads:1', 'node:net', 'C++ epoll']

const net: Suite = {
  id: 'net',
  title: 'Echo by streams',
  proxy: false,
  servers: [
    { id: 'netvc/net', program: { peer: 'node-echo' }, args: ['--net', 'netvc/net'] },
    { id: 'netvc stream', program: { peer: 'netvc-stream-echo' } },
    {
      id: 'netvc stream, threads:1',
      program: { peer: 'netvc-stream-echo' },
      args: ['--threads', '1'],
    },
    { id: 'node:net', program: { peer: 'node-echo' } },
    { id: 'C++ epoll', program: { native: 'netvc_echo_epoll' } },
  ],
  configurations: [
    {
      id: '64x64B',
      title: '64 connections, 1 message of 64 B outstanding on each',
      load: ['echo', '--connections', '64', '--size', '64'],
      servers: streams,
      reference: 'node:net',
    },
    {
      id: '64x16KiB',
      title: '64 connections, 1 message of 16 KiB outstanding on each',
      load: ['echo', '--connections', '64', '--size', '16384'],
      servers: streams,
      reference: 'node:net',
    },
  ],
}

const httpServers = ['netvc stream', 'netvc stream, threads:1', 'netvc/net', 'node:http']

const http: Suite = {
  id: 'http',
  title: 'Hello by node:http, keep-alive',
  proxy: false,
  servers: [
    { id: 'netvc stream', program: { peer: 'netvc-http' } },
    { id: 'netvc stream, threads:1', program: { peer: 'netvc-http' }, args: ['--threads', '1'] },
    { id: 'netvc/net', program: { peer: 'net-http' }, args: ['--net', 'netvc/net'] },
    { id: 'node:http', program: { peer: 'node-http' } },
  ],
  configurations: [
    {
      id: '64',
      title: '64 connections, 1 request outstanding on each',
      load: ['http', '--connections', '64'],
      servers: httpServers,
      reference: 'node:http',
    },
    {
      id: '64x8',
      title: '64 connections, 8 pipelined requests',
      load: ['http', '--connections', '64', '--outstanding', '8'],
      servers: httpServers,
      reference: 'node:http',
    },
  ],
}

export const suites: Suite[] = [echo, tunnel, churn, storm, idle, net, http]

function target(
  suite: string,
  configuration: string,
  server: string,
  against: string,
  atMost: number,
): Target {
  return { suite, configuration, server, against, atMost }
}

export const targets: Target[] = [
  target('echo', '64x64B', 'netvc inline', 'node:net', 0.7),
  target('echo', '64x16KiB', 'netvc inline', 'node:net', 0.55),
  target('echo', '64x16x64B-each', 'netvc inline, each', 'node:net, each', 0.1),
  target('echo', '64x64B', 'netvc inline', 'C++ epoll', 1.15),
  target('echo', '64x16KiB', 'netvc inline', 'C++ epoll', 1.15),
  target('echo', '64x16KiB', 'netvc inline, borrowed', 'C++ epoll', 1.15),
  { ...target('echo', '64x64B', 'netvc threads:1', 'node:net', 0.1), jsThread: true },
  target('churn', '64-in-flight', 'netvc inline', 'node:net', 0.75),
  target('churn', '64-in-flight', 'netvc inline', 'C++ epoll', 1.15),
  target('tunnel', '64x64B', 'netvc tunnel', 'node pipe', 0.65),
  target('tunnel', '64x16KiB', 'netvc tunnel', 'node pipe', 0.65),
  target('tunnel', '64x64B', 'netvc tunnel', 'C++ epoll proxy', 1.15),
  target('tunnel', '64x16KiB', 'netvc tunnel', 'C++ epoll proxy', 1.15),
  target('net', '64x64B', 'netvc/net', 'node:net', 1),
  target('net', '64x16KiB', 'netvc/net', 'node:net', 1),
  target('net', '64x64B', 'netvc stream', 'node:net', 1),
  target('net', '64x16KiB', 'netvc stream', 'node:net', 1),
  target('http', '64', 'netvc stream', 'node:http', 1),
  target('http', '64', 'netvc/net', 'node:http', 1),
]
