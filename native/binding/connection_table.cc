// The connections of a reactor as numbers, for operators and tests: collected on each net thread
// by one walk along its list, without touching what it walks over.
#include <algorithm>
#include <iterator>
#include <vector>

#include "binding/functions.h"
#include "binding/js_reactor.h"

namespace netvc {

namespace {

enum Field {
  kSlot,
  kVersion,
  kContext,
  kAge,
  kIdle,
  kIn,
  kOut,
  kUnsent,
  kShut,
  kThread,
  kState,
  kQueue
};
constexpr size_t kFields = kQueue + 1;
enum State : int { kOpen = 0, kConnecting = 1, kTunneled = 2 };

void add_row(std::vector<double>* rows, NetVConnection& vc, const VcObserver* port, Nanos now) {
  const State state = vc.connecting() ? kConnecting : vc.observer == port ? kOpen : kTunneled;
  double row[kFields];
  row[kSlot] = slot_of(vc.id());
  row[kVersion] = version_of(vc.id());
  row[kContext] = static_cast<double>(vc.context());
  row[kAge] = static_cast<double>((now - vc.submit_time()) / kMillisecond);
  row[kIdle] = static_cast<double>((now - vc.last_activity()) / kMillisecond);
  row[kIn] = static_cast<double>(vc.bytes_in());
  row[kOut] = static_cast<double>(vc.bytes_out());
  row[kUnsent] = static_cast<double>(vc.unsent());
  row[kShut] = vc.shut_sides();
  row[kThread] = vc.handler->index;
  row[kState] = state;
  row[kQueue] = static_cast<double>(vc.queue);
  rows->insert(rows->end(), row, row + kFields);
}

// connections(reactor): kFields numbers for each open connection of this JavaScript thread
napi_value JsConnections(napi_env env, Args<1>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  std::vector<std::vector<double>> found(r ? r->size() : 0);
  if (r) {
    r->on_every_thread([r, &found](size_t i) {
      const Nanos now = monotonic_now();
      for (NetEvent* e = r->handler(i).first_open(); e; e = NetHandler::next_open(*e)) {
        if (!e->is_connection()) continue;
        auto& vc = static_cast<NetVConnection&>(*e);
        const bool mine = !r->shared() || (vc.observer && vc.observer->belongs_to(r->group()));
        if (mine && !vc.closed_now()) add_row(&found[i], vc, &r->port(i), now);
      }
    });
  }
  size_t n = 0;
  for (const std::vector<double>& rows : found)
    n += rows.size();
  void* data = nullptr;
  napi_value buffer = nullptr, array = nullptr;
  napi_create_arraybuffer(env, n * sizeof(double), &data, &buffer);
  auto* to = static_cast<double*>(data);
  for (const std::vector<double>& rows : found)
    to = std::copy(rows.begin(), rows.end(), to);
  napi_create_typedarray(env, napi_float64_array, n, buffer, 0, &array);
  return array;
}

// recentlyClosed(reactor): [[slot, version, url, outbound, code, openMs, agoMs, in, out, thread]]
napi_value JsRecentlyClosed(napi_env env, Args<1>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  std::vector<std::vector<ClosedEntry>> found(r ? r->size() : 0);
  if (r) {
    r->on_every_thread([r, &found](size_t i) { found[i] = r->handler(i).closed_log.entries(); });
  }
  napi_value list = nullptr;
  napi_create_array(env, &list);
  const Nanos now = monotonic_now();
  uint32_t n = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    for (const ClosedEntry& e : found[i]) {
      const napi_value fields[] = {
          js_i32(env, static_cast<int32_t>(slot_of(e.id))),
          js_i32(env, static_cast<int32_t>(version_of(e.id))),
          js_text(env, e.remote.url()),
          js_i32(env, e.outbound),
          js_i32(env, e.code),
          js_int(env, (e.closed - e.opened) / kMillisecond),
          js_int(env, (now - e.closed) / kMillisecond),
          js_int(env, e.bytes_in),
          js_int(env, e.bytes_out),
          js_i32(env, static_cast<int32_t>(i)),
      };
      napi_value row = nullptr;
      napi_create_array_with_length(env, std::size(fields), &row);
      for (uint32_t f = 0; f < std::size(fields); ++f)
        napi_set_element(env, row, f, fields[f]);
      napi_set_element(env, list, n++, row);
    }
  }
  return list;
}

}  // namespace

void register_table_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {entry<JsConnections, kFlush>("connections"),
                            entry<JsRecentlyClosed, kPlain>("recentlyClosed")};
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
