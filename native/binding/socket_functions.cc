// Functions on the socket of a connection: (slot, version, ...). Options, urgent bytes, the trace.
#include <fcntl.h>

#include <cerrno>

#include "binding/at_home.h"
#include "binding/functions.h"
#include "binding/js_reactor.h"
#include "binding/sync_call.h"
#include "net/socket_options.h"
#include "vc/trace.h"

namespace netvc {

namespace {

// setSocketOption(slot, version, SocketOption | -1 congestion control | -2 device, number, text):
// 0, -errno or kGone. Waits for the connection's thread.
napi_value JsSetSocketOption(napi_env env, Args<5>& a) {
  const int option = a.i32(2);
  const int value = a.i32(3);
  const std::string name = a.text(4);
  int r = 0;
  const bool alive = call_at_home(id_of(a), [&](NetVConnection& vc) {
    if (vc.pair_end()) return;  // PV-25
    const int fd = vc.get_socket();
    const Address& remote = vc.remote_addr();
    if (option == -2)
      r = remote.is_ip() ? bind_to_device(fd, name) : -EOPNOTSUPP;
    else if (option == -1)
      r = set_congestion_control(fd, name);
    else
      r = set_socket_option(fd, remote.family(), static_cast<SocketOption>(option), value);
  });
  return js_i32(env, alive ? r : kGone);
}

// socketOptions(slot, version): [congestion control | '', device | '', value of each SocketOption |
// undefined], or undefined when it is gone. Waits for the connection's thread.
napi_value JsSocketOptions(napi_env env, Args<2>& a) {
  int values[kSocketOptions];
  int errors[kSocketOptions];
  std::string congestion;
  std::string device;
  const bool alive = call_at_home(id_of(a), [&](NetVConnection& vc) {
    const int fd = vc.get_socket();
    for (int i = 0; i < kSocketOptions; ++i)
      errors[i] = get_socket_option(fd, vc.remote_addr().family(), static_cast<SocketOption>(i),
                                    &values[i]);
    congestion = congestion_control(fd);
    device = bound_device(fd);
  });
  if (!alive) return nullptr;
  napi_value array = nullptr;
  napi_create_array_with_length(env, kSocketOptions + 2, &array);
  napi_set_element(env, array, 0, js_text(env, congestion));
  napi_set_element(env, array, 1, js_text(env, device));
  for (int i = 0; i < kSocketOptions; ++i) {
    if (errors[i] == 0)
      napi_set_element(env, array, static_cast<uint32_t>(i) + 2, js_i32(env, values[i]));
  }
  return array;
}

// tcpInfo(slot, version): an object, or undefined when it is gone or not TCP. Waits for the
// connection's thread.
napi_value JsTcpInfo(napi_env env, Args<2>& a) {
  std::vector<TcpInfoField> fields;
  call_at_home(id_of(a),
               [&fields](NetVConnection& vc) { fields = netvc::tcp_info(vc.get_socket()); });
  if (fields.empty()) return nullptr;
  napi_value object = nullptr;
  napi_create_object(env, &object);
  for (const TcpInfoField& f : fields) {
    napi_value v = nullptr;
    napi_create_double(env, f.value, &v);
    set(env, object, f.name, v);
  }
  return object;
}

// peerCredentials(slot, version): [pid, uid, gid], -errno, or kGone. Waits for the connection's
// thread.
napi_value JsPeerCredentials(napi_env env, Args<2>& a) {
  PeerCredentials found;
  int r = 0;
  const bool alive = call_at_home(id_of(a), [&](NetVConnection& vc) {
    r = vc.pair_end() ? -EOPNOTSUPP : peer_credentials(vc.get_socket(), &found);
  });
  if (!alive || r < 0) return js_i32(env, alive ? r : kGone);
  napi_value array = nullptr;
  napi_create_array_with_length(env, 3, &array);
  uint32_t i = 0;
  for (const int64_t n : {found.pid, found.uid, found.gid})
    napi_set_element(env, array, i++, js_int(env, n));
  return array;
}

// sendOOB(slot, version, bytes, token): one NOTICE follows in any case
napi_value JsSendOob(napi_env, Args<4>& a) {
  EnvState& state = a.state();
  char* data = nullptr;
  size_t n = 0;
  a.memory(2, &data, &n);
  run(id_of(a), [bytes = std::string(data, n),
                 pending = PendingNotice(state.notice(a.u32(3)))](NetVConnection& vc) mutable {
    Notice* told = pending.take();
    if (const int refused = vc.send_oob(bytes.data(), bytes.size(), told)) told->tell(refused);
  });
  return nullptr;
}

// cancelOOB(slot, version)
napi_value JsCancelOob(napi_env env, Args<2>& a) {
  return js_i32(env, run(id_of(a), [](NetVConnection& vc) { vc.cancel_oob(); }));
}

// The trace: each call waits for the connection's thread, so that what is written after it, which
// takes another way there, finds it done.

// setOriginTrace(slot, version, fd | -1 off, maxBytes): 0, -errno or kGone. The trace has a
// duplicate, since the number may be something else when the next line is written.
napi_value JsSetOriginTrace(napi_env env, Args<4>& a) {
  const int fd = a.i32(2);
  const size_t max_bytes = a.u32(3);
  std::shared_ptr<TraceSink> sink;
  if (fd >= 0) {
    const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return js_i32(env, -errno);
    sink = std::make_shared<FdSink>(UniqueFd(own));
  }
  const bool alive = call_at_home(
      id_of(a), [&](NetVConnection& vc) { vc.set_origin_trace(std::move(sink), max_bytes); });
  return js_i32(env, alive ? 0 : kGone);
}

// setOriginTraceAddr(slot, version, host)
napi_value JsSetOriginTraceAddr(napi_env, Args<3>& a) {
  std::string host = a.text(2);  // not read on another thread
  call_at_home(id_of(a),
               [&host](NetVConnection& vc) { vc.set_origin_trace_addr(std::move(host)); });
  return nullptr;
}

// setOriginTracePort(slot, version, port)
napi_value JsSetOriginTracePort(napi_env, Args<3>& a) {
  const int port = a.i32(2);
  call_at_home(id_of(a), [port](NetVConnection& vc) { vc.set_origin_trace_port(port); });
  return nullptr;
}

}  // namespace

void register_socket_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {
      entry<JsSetSocketOption, kCommand>("setSocketOption"),
      entry<JsSocketOptions, kFlush>("socketOptions"),
      entry<JsTcpInfo, kFlush>("tcpInfo"),
      entry<JsPeerCredentials, kFlush>("peerCredentials"),
      entry<JsSendOob, kCommand>("sendOOB"),
      entry<JsCancelOob, kCommand>("cancelOOB"),
      entry<JsSetOriginTrace, kCommand>("setOriginTrace"),
      entry<JsSetOriginTraceAddr, kCommand>("setOriginTraceAddr"),
      entry<JsSetOriginTracePort, kCommand>("setOriginTracePort"),
  };
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
