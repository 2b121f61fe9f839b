// Functions on reactors, listeners and connects.
#include <fcntl.h>

#include <cerrno>

#include "binding/functions.h"
#include "binding/js_reactor.h"
#include "buffer/block_pool.h"

namespace netvc {

namespace {

// An address as lib/address.ts gives it: kind 0 tcp (host is an IP literal), 1 unix.
bool parse_address(int kind, const std::string& host, uint32_t port, Address* out) {
  return kind == 1 ? Address::from_unix(host, out)
                   : Address::from_ip(host, static_cast<uint16_t>(port), out);
}

NetVCOptions connection_options(const Options& o) {
  NetVCOptions c;
  c.recv_buffer_size = static_cast<int>(o.number("receiveBufferSize", 0));
  c.send_buffer_size = static_cast<int>(o.number("sendBufferSize", 0));
  c.sock_flags = (o.flag("noDelay", true) ? NetVCOptions::kNoDelay : 0u) |
                 (o.flag("keepAlive", false) ? NetVCOptions::kKeepAlive : 0u) |
                 (o.flag("resetOnClose", false) ? NetVCOptions::kLingerOn : 0u) |
                 (o.flag("fastOpen", false) ? NetVCOptions::kFastOpen : 0u);
  c.packet_mark = static_cast<uint32_t>(o.number("mark", 0));
  c.packet_tos = static_cast<uint32_t>(o.number("tos", 0));
  c.congestion_control = o.text("congestionControl");
  c.device = o.text("bindToDevice");
  c.keep_alive_idle = static_cast<int>(o.number("keepAliveIdle", 0));
  c.keep_alive_interval = static_cast<int>(o.number("keepAliveInterval", 0));
  c.keep_alive_count = static_cast<int>(o.number("keepAliveCount", 0));
  c.not_sent_lowat = static_cast<int>(o.number("notSentLowat", 0));
  c.user_timeout = static_cast<int>(o.number("userTimeout", 0));
  c.max_segment_size = static_cast<int>(o.number("maxSegmentSize", 0));
  return c;
}

// createReactor(threads): number, or a negative errno
napi_value JsCreateReactor(napi_env env, Args<1>& a) {
  int error = 0;
  std::unique_ptr<JsReactor> r = JsReactor::create(a.state(), a.i32(0), &error);
  return js_i32(env, r ? a.state().add_reactor(std::move(r)) : error);
}

// ports(reactor): the numbers of its ports
napi_value JsPorts(napi_env env, Args<1>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  napi_value array = nullptr;
  napi_create_array_with_length(env, r->size(), &array);
  for (uint32_t i = 0; i < r->size(); ++i)
    napi_set_element(env, array, i, js_int(env, r->port_number(i)));
  return array;
}

// closeReactor(reactor): net threads are joined, connections closed, and everything told before it
// returns; not from inside a handler (lib waits).
napi_value JsCloseReactor(napi_env env, Args<1>& a) {
  if (a.state().control()[EnvState::kInBatch]) return js_i32(env, -EBUSY);
  a.state().drop_reactor(a.u32(0));
  return js_i32(env, 0);
}

napi_value JsRefReactor(napi_env, Args<2>& a) {
  if (JsReactor* r = a.state().reactor(a.u32(0))) r->ref(a.i32(1) != 0);
  return nullptr;
}

// listen(reactor, listener, kind, host, port, options): 0 or -errno
napi_value JsListen(napi_env env, Args<6>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  Address address;
  const Options o(env, a[5]);
  AcceptOptions options;
  options.fd = static_cast<int>(o.number("fd", -1));
  if (options.fd < 0 && !parse_address(a.i32(2), a.text(3), a.u32(4), &address))
    return js_i32(env, -EINVAL);
  options.backlog = static_cast<int>(o.number("backlog", 0));
  options.reuse_port = o.flag("reusePort", false);
  options.ipv6_only = o.flag("ipv6Only", true);
  options.defer_accept_s = static_cast<int>(o.number("deferAcceptSeconds", 0));
  options.fast_open_queue = static_cast<int>(o.number("fastOpenQueue", 0));
  options.transparent = o.flag("transparent", false);
  options.accepts_per_wakeup = static_cast<int>(o.number("acceptsPerWakeup", 16));
  options.idle_timeout = o.number("idleTimeout", 0) * kMillisecond;
  options.backdoor = o.flag("backdoor", false);
  options.connection = connection_options(o);
  const AdmissionLimits limits = {o.number("maxConnections", 0),
                                  o.number("maxConnectionsPerAddress", 0),
                                  static_cast<double>(o.number("acceptRate", 0))};
  Ref<Admission> parent = r->admission(o.number("reactorConnections", 0));
  if (limits.any() || parent)
    options.admission = Ref<Admission>(new Admission(limits, std::move(parent)));
  JsReactor::ListenMode mode;
  mode.own_threads = static_cast<int>(o.number("acceptThreads", 0));
  mode.accept = mode.own_threads > 0                   ? JsReactor::AcceptMode::kOwnThreads
                : o.flag("acceptOnEveryThread", false) ? JsReactor::AcceptMode::kEveryThread
                                                       : JsReactor::AcceptMode::kSingle;
  mode.distribute = static_cast<Distribute>(o.number("distribution", 0));
  mode.timeouts = {static_cast<int32_t>(o.number("inactivityTimeout", -1)),
                   static_cast<int32_t>(o.number("activeTimeout", -1))};
  mode.paused = o.flag("paused", false);
  return js_i32(env, -r->listen(a.u32(1), address, options, mode));
}

// listenerAddress(reactor, listener): url
napi_value JsListenerAddress(napi_env env, Args<2>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  JsListener* l = r ? r->listener(a.u32(1)) : nullptr;
  return l && l->socket ? js_text(env, l->socket->address().url()) : nullptr;
}

// listenerCounts(reactor, listener): [open, refused, full, fast] of its limits, or undefined
napi_value JsListenerCounts(napi_env env, Args<2>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  JsListener* l = r ? r->listener(a.u32(1)) : nullptr;
  if (!l || !l->admission) return nullptr;
  const Admission::Counts c = l->admission->counts();
  napi_value array = nullptr;
  napi_create_array_with_length(env, 4, &array);
  uint32_t i = 0;
  for (const int64_t n : {c.open, c.refused, c.full, c.fast})
    napi_set_element(env, array, i++, js_int(env, n));
  return array;
}

// gateListener(reactor, listener, gate): 0 pauses, 1 resumes, 2 resumes until somebody has come
napi_value JsGateListener(napi_env, Args<3>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  JsListener* l = r ? r->listener(a.u32(1)) : nullptr;
  if (!l) return nullptr;
  switch (a.i32(2)) {
    case 0:
      l->pause();
      break;
    case 1:
      l->resume(Acceptor::Until::kPaused);
      break;
    default:
      l->resume(Acceptor::Until::kSomebodyCame);
  }
  return nullptr;
}

napi_value JsCloseListener(napi_env, Args<2>& a) {
  if (JsReactor* r = a.state().reactor(a.u32(0))) r->close_listener(a.u32(1));
  return nullptr;
}

// freeListener(reactor, listener): after ACCEPT_STOPPED; closes the socket
napi_value JsFreeListener(napi_env, Args<2>& a) {
  if (JsReactor* r = a.state().reactor(a.u32(0))) r->forget_listener(a.u32(1));
  return nullptr;
}

// connect(reactor, request, kind, host, port, options): 0 or -errno; then one OPEN or OPEN_FAILED
napi_value JsConnectTo(napi_env env, Args<6>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  const uint32_t request = a.u32(1);
  const Options o(env, a[5]);
  NetVCOptions options = connection_options(o);
  options.local_port = static_cast<uint16_t>(o.number("localPort", 0));
  options.local_port_low = static_cast<uint16_t>(o.number("localPortLow", 0));
  options.local_port_high = static_cast<uint16_t>(o.number("localPortHigh", 0));
  if (const std::string local = o.text("localAddress"); !local.empty()) {
    if (!Address::from_ip(local, options.local_port, &options.local_ip))
      return js_i32(env, -EINVAL);
    options.addr_binding =
        o.flag("transparent", false) ? AddrBinding::kForeign : AddrBinding::kIntf;
  }
  // A duplicate is adopted, and lib closes the original: Node keeps a list of what a worker has
  // opened, and closes those numbers, whatever they are by then, when the worker ends.
  const int original = static_cast<int>(o.number("fd", -1));
  if (original >= 0 && ListenSocket::is_taken(original)) return js_i32(env, -EBUSY);
  const int fd = original < 0 ? -1 : ::fcntl(original, F_DUPFD_CLOEXEC, 0);
  if (original >= 0 && fd < 0) return js_i32(env, -errno);
  Address to;
  if (fd < 0 && !parse_address(a.i32(2), a.text(3), a.u32(4), &to)) return js_i32(env, -EINVAL);
  const Nanos timeout = o.number("timeout", 30000) * kMillisecond;

  NetHandler& h = r->next_handler();
  JsPort& port = r->port_of(h);
  const auto start = [fd, to, options, request, timeout, &port](NetHandler& there) {
    auto* told = new JsConnect(port, request, fd);
    if (fd >= 0) return connect_up(there, fd, told);
    port.connecting(request, told, connect_s(there, to, options, told, timeout));
  };
  if (h.in_thread()) {
    start(h);
  } else {
    h.post(start);
  }
  return js_i32(env, 0);
}

// cancelConnect(reactor, request): no record follows, unless it is on its way already
napi_value JsCancelConnect(napi_env, Args<2>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  const uint32_t request = a.u32(1);
  for (size_t i = 0; r && i < r->size(); ++i) {
    JsPort& port = r->port(i);
    if (port.handler().in_thread()) {
      port.cancel_connect(request);
    } else {
      port.handler().post([&port, request](NetHandler&) { port.cancel_connect(request); });
    }
  }
  return nullptr;
}

// stats(reactor): counters summed over its net threads, and the process's blocks
napi_value JsStats(napi_env env, Args<1>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  napi_value o = nullptr;
  napi_create_object(env, &o);
  const auto sum = [&](const char* name, Counter NetCounters::*c) {
    int64_t n = 0;
    for (size_t i = 0; r && i < r->size(); ++i)
      n += (r->handler(i).counters.*c).get();
    set(env, o, name, n);
  };
  sum("turns", &NetCounters::turns);
  sum("pollEvents", &NetCounters::poll_events);
  sum("readCalls", &NetCounters::read_calls);
  sum("readNoData", &NetCounters::read_no_data);
  sum("bytesRead", &NetCounters::read_bytes);
  sum("writeCalls", &NetCounters::write_calls);
  sum("writeNoRoom", &NetCounters::write_no_room);
  sum("bytesWritten", &NetCounters::write_bytes);
  sum("accepted", &NetCounters::accepted);
  sum("acceptErrors", &NetCounters::accept_errors);
  sum("connected", &NetCounters::connects);
  sum("connectFailures", &NetCounters::connect_failures);
  sum("closed", &NetCounters::closed);
  sum("events", &NetCounters::events);
  sum("keepAlive", &NetCounters::keep_alive);
  sum("active", &NetCounters::active);
  sum("keepAliveEvicted", &NetCounters::keep_alive_evicted);
  sum("keepAliveIdleNs", &NetCounters::keep_alive_idle);
  sum("activeEvicted", &NetCounters::active_evicted);
  sum("acceptsThrottled", &NetCounters::accept_throttled);
  sum("acceptsRescued", &NetCounters::accept_rescued);
  sum("connectsThrottled", &NetCounters::connect_throttled);
  sum("open", &NetCounters::open);
  sum("lingering", &NetCounters::lingering);
  set(env, o, "threads", r && !r->is_inline() ? static_cast<int64_t>(r->size()) : 0);
  set(env, o, "connections", NetVConnection::pool().live());
  set(env, o, "messages", WriteRequest::live());
  set(env, o, "blocks", BlockPool::live_data());
  set(env, o, "blockBytes", BlockPool::live_data_bytes());
  set(env, o, "slabBytes", static_cast<int64_t>(BlockPool::slab_bytes()));
  set(env, o, "buffers", static_cast<int64_t>(a.state().buffer_count()));
  set(env, o, "bytesPerConnection", static_cast<int64_t>(VcPool::slot_bytes()));
  return o;
}

}  // namespace

void register_reactor_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {
      entry<JsCreateReactor, kPlain>("createReactor"),
      entry<JsPorts, kPlain>("ports"),
      entry<JsCloseReactor, kFlush>("closeReactor"),
      entry<JsRefReactor, kPlain>("refReactor"),
      entry<JsListen, kTouch>("listen"),
      entry<JsListenerAddress, kPlain>("listenerAddress"),
      entry<JsListenerCounts, kPlain>("listenerCounts"),
      entry<JsGateListener, kTouch>("gateListener"),
      entry<JsCloseListener, kTouch>("closeListener"),
      entry<JsFreeListener, kPlain>("freeListener"),
      entry<JsConnectTo, kCommand>("connect"),
      entry<JsCancelConnect, kTouch>("cancelConnect"),
      entry<JsStats, kFlush>("stats"),
  };
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
