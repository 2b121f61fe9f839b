// Functions that make pairs, and tell about them.
#include <cerrno>

#include "binding/at_home.h"
#include "binding/functions.h"
#include "binding/js_reactor.h"
#include "vc/pair_end.h"

namespace netvc {

namespace {

// An address as lib/pairs.ts gives it: kind 0 tcp (host is an IP literal), 1 unix, or none.
bool address_of(const Options& o, const std::string& end, Address* out) {
  const int64_t kind = o.number((end + "Kind").c_str(), -1);
  if (kind < 0) return true;
  const std::string host = o.text((end + "Host").c_str());
  if (kind == 1) return Address::from_unix(host, out);
  return Address::from_ip(host, static_cast<uint16_t>(o.number((end + "Port").c_str(), 0)), out);
}

void start(JsReactor& r, NetHandler& h, NetVConnection& vc) {
  JsPort& port = r.port_of(h);
  vc.observer = &port;
  if (port.connections) port.connections->fetch_add(1, std::memory_order_relaxed);
  if (h.in_thread()) {
    vc.start_here(h);
  } else {
    vc.start_at(h);
  }
}

// pair(reactor, options): [slot, version, slot, version] of the active and the passive end, or
// -errno
napi_value JsPair(napi_env env, Args<2>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  const Options o(env, a[1]);
  PairOptions options;
  options.core_bytes = o.number("size", options.core_bytes);
  options.tag = o.text("tag");
  options.tag_id = o.number("tagId", 0);
  options.internal_request = o.flag("internal", false);
  if (!address_of(o, "active", &options.active_addr) ||
      !address_of(o, "passive", &options.passive_addr))
    return js_i32(env, -EINVAL);
  NetVConnection* ends[2] = {};
  if (!PairEnd::create(options, &ends[0], &ends[1])) return js_i32(env, -ENOMEM);
  const auto at = [r, &o](const char* name, NetHandler* otherwise) -> NetHandler& {
    const int64_t i = o.number(name, -1);
    return i >= 0 ? r->handler(static_cast<size_t>(i)) : otherwise ? *otherwise : r->next_handler();
  };
  NetHandler& active_at = at("activeThread", nullptr);
  NetHandler& passive_at = at("passiveThread", &active_at);
  napi_value array = nullptr;
  napi_create_array_with_length(env, 4, &array);
  for (uint32_t i : {0u, 1u}) {
    napi_set_element(env, array, 2 * i, js_i32(env, static_cast<int32_t>(slot_of(ends[i]->id()))));
    napi_set_element(env, array, 2 * i + 1,
                     js_i32(env, static_cast<int32_t>(version_of(ends[i]->id()))));
  }
  start(*r, active_at, *ends[0]);
  start(*r, passive_at, *ends[1]);
  return array;
}

// pairInfo(slot, version): [active, tag, tagId, internal, peer's slot, version], or undefined
napi_value JsPairInfo(napi_env env, Args<2>& a) {
  VcPool::Handle vc = find(id_of(a));
  const PairEnd* end = vc ? vc->pair_end() : nullptr;
  if (!end) return nullptr;
  const PairOptions& options = end->options();
  const VersionedId peer = end->peer();
  napi_value values[] = {js_i32(env, end->is_active()),
                         js_text(env, options.tag),
                         js_int(env, options.tag_id),
                         js_i32(env, options.internal_request),
                         js_i32(env, static_cast<int32_t>(slot_of(peer))),
                         js_i32(env, static_cast<int32_t>(version_of(peer)))};
  napi_value array = nullptr;
  napi_create_array_with_length(env, std::size(values), &array);
  for (uint32_t i = 0; i < std::size(values); ++i)
    napi_set_element(env, array, i, values[i]);
  return array;
}

// pairData(slot, version, remote): bytes, or undefined when there are none, or no pair
napi_value JsPairData(napi_env env, Args<3>& a) {
  VcPool::Handle vc = find(id_of(a));
  const PairEnd* end = vc ? vc->pair_end() : nullptr;
  const std::string bytes = end ? end->user_bytes(a.i32(2) != 0) : std::string();
  napi_value buffer = nullptr;
  if (bytes.empty()) return nullptr;
  return napi_create_buffer_copy(env, bytes.size(), bytes.data(), nullptr, &buffer) == napi_ok
             ? buffer
             : nullptr;
}

// setPairData(slot, version, remote, bytes): 0, -EOPNOTSUPP without a pair, or kGone
napi_value JsSetPairData(napi_env env, Args<4>& a) {
  VcPool::Handle vc = find(id_of(a));
  if (!vc) return js_i32(env, kGone);
  char* data = nullptr;
  size_t n = 0;
  a.memory(3, &data, &n);
  PairEnd* end = vc->pair_end();
  if (!end) return js_i32(env, -EOPNOTSUPP);
  end->set_user_bytes(a.i32(2) != 0, n > 0 ? std::string(data, n) : std::string());
  return js_i32(env, 0);
}

}  // namespace

void register_pair_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {entry<JsPair, kTouch>("pair"), entry<JsPairInfo, kPlain>("pairInfo"),
                            entry<JsPairData, kPlain>("pairData"),
                            entry<JsSetPairData, kPlain>("setPairData")};
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
