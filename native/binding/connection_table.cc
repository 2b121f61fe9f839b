// The connections of a reactor as numbers, for operators and tests: collected on each net thread
// by one walk along its list, without touching what it walks over.
#include <algorithm>
#include <iterator>
#include <vector>

#include "binding/functions.h"
#include "binding/js_reactor.h"

namespace netvc {

namespace {

enum Field { kSlot, kVersion, kContext, kAge, kIdle, kIn, kOut, kUnsent, kShut, kThread, kState };
constexpr size_t kFields = kState + 1;
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
  rows->insert(rows->end(), row, row + kFields);
}

// connections(reactor): kFields numbers for each open connection of this JavaScript thread
napi_value JsConnections(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  a.state().flush_commands();
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

}  // namespace

void register_table_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {{"connections", JsConnections}};
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
