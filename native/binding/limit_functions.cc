// Functions on queues, the throttle, and on which net thread a connection lives.
#include <memory>

#include "binding/at_home.h"
#include "binding/functions.h"
#include "binding/js_reactor.h"

namespace netvc {

namespace {

// setQueueLimits(reactor, connections, active): in all, 0 for no limit
napi_value JsSetQueueLimits(napi_env, Args<3>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  if (!r) return nullptr;
  const QueueLimits total{a.bytes(1), a.bytes(2)};
  const QueueLimits share = total.share(static_cast<int64_t>(r->size()));
  for (size_t i = 0; i < r->size(); ++i) {
    NetHandler& h = r->handler(i);
    if (h.in_thread()) {
      h.queues.set_limits(share);
    } else {
      h.post([share](NetHandler& there) { there.queues.set_limits(share); });
    }
  }
  return nullptr;
}

// addToActiveQueue(slot, version, token): one NOTICE follows: 0 it is, EBUSY it is not
napi_value JsAddToActiveQueue(napi_env, Args<3>& a) {
  run(id_of(a), [told = PendingNotice(a.state().notice(a.u32(2)))](NetVConnection& vc) mutable {
    const bool in = vc.add_to_active_queue();
    if (in || !vc.closed_now()) told.tell(in ? 0 : EBUSY);
  });
  return nullptr;
}

// addToKeepAliveQueue(slot, version)
napi_value JsAddToKeepAliveQueue(napi_env, Args<2>& a) {
  run(id_of(a), [](NetVConnection& vc) { vc.add_to_keep_alive_queue(); });
  return nullptr;
}

// removeFromQueues(slot, version)
napi_value JsRemoveFromQueues(napi_env, Args<2>& a) {
  run(id_of(a), [](NetVConnection& vc) { vc.remove_from_queues(); });
  return nullptr;
}

// setThrottle(connections): see Throttle::configure
napi_value JsSetThrottle(napi_env, Args<1>& a) {
  Throttle::process().configure(a.bytes(0));
  return nullptr;
}

// throttle(): [open, limit, 1 in an emergency]
napi_value JsThrottle(napi_env env, Args<1>&) {
  Throttle& t = Throttle::process();
  const Nanos now = monotonic_now();
  napi_value array = nullptr;
  napi_create_array_with_length(env, 3, &array);
  uint32_t i = 0;
  for (const int64_t n : {t.open(), t.limit(now), int64_t{t.emergency(now)}})
    napi_set_element(env, array, i++, js_int(env, n));
  return array;
}

// threadOf(slot, version): the index of the net thread it lives on, -1 when it is gone
napi_value JsThreadOf(napi_env env, Args<2>& a) {
  VcPool::Handle vc = find(id_of(a));
  NetHandler* home = vc ? vc->home() : nullptr;
  return js_i32(env, home ? home->index : -1);
}

// migrate(reactor, slot, version, thread, token): its operations and timeouts are cancelled (MG-2);
// one NOTICE follows, when it is there
napi_value JsMigrate(napi_env, Args<5>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  JsPort& port = r->port(a.u32(3));
  auto told = std::make_shared<PendingNotice>(a.state().notice(a.u32(4)));
  run(id_of(a, 1), [&port, told = std::move(told)](NetVConnection& vc) {
    if (vc.closed_now() || !vc.observer || !vc.observer->belongs_to(port.group)) return;
    vc.do_io_read(nullptr, 0, nullptr);
    vc.do_io_write(nullptr, 0, nullptr);
    vc.cancel_inactivity_timeout();
    vc.cancel_active_timeout();
    vc.observer = &port;
    vc.move_to(port.handler(), [told](NetVConnection* there) {
      if (there) told->tell(0);
    });
  });
  return nullptr;
}

}  // namespace

void register_limit_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {
      entry<JsSetQueueLimits, kCommand>("setQueueLimits"),
      entry<JsAddToActiveQueue, kCommand>("addToActiveQueue"),
      entry<JsAddToKeepAliveQueue, kCommand>("addToKeepAliveQueue"),
      entry<JsRemoveFromQueues, kTouch>("removeFromQueues"),
      entry<JsSetThrottle, kPlain>("setThrottle"),
      entry<JsThrottle, kPlain>("throttle"),
      entry<JsThreadOf, kPlain>("threadOf"),
      entry<JsMigrate, kCommand>("migrate"),
  };
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
