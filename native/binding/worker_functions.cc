// Functions on the shared reactor: attaching, and which JavaScript thread has which connection.
#include <cerrno>

#include "binding/functions.h"
#include "binding/js_reactor.h"

namespace netvc {

namespace {

// attachShared(threads, worker): a reactor's number, or a negative errno
napi_value JsAttachShared(napi_env env, Args<2>& a) {
  int error = 0;
  std::unique_ptr<JsReactor> r = JsReactor::create_shared(a.state(), a.i32(0), a.u32(1), &error);
  return js_i32(env, r ? a.state().add_reactor(std::move(r)) : error);
}

// registerSeat(reactor, on, onExit)
napi_value JsRegister(napi_env, Args<3>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  if (r && r->shared())
    r->shared()->set_registered(r->seat(), a.i32(1) != 0, static_cast<OnExit>(a.i32(2)));
  return nullptr;
}

// workers(reactor): [worker, connections, registered, ...] of every attached thread
napi_value JsWorkers(napi_env env, Args<1>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  napi_value array = nullptr;
  napi_create_array(env, &array);
  uint32_t n = 0;
  if (r && r->shared()) {
    r->shared()->each([&](const Seat& s) {
      napi_set_element(env, array, n++, js_int(env, s.worker));
      napi_set_element(env, array, n++, js_i32(env, s.connections.load(std::memory_order_relaxed)));
      napi_set_element(env, array, n++, js_i32(env, s.registered));
    });
  }
  return array;
}

// parked(reactor): ids as bigints
napi_value JsParked(napi_env env, Args<1>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  napi_value array = nullptr;
  napi_create_array(env, &array);
  if (!r || !r->shared()) return array;
  uint32_t n = 0;
  for (VersionedId id : r->shared()->parked()) {
    napi_value v = nullptr;
    napi_create_bigint_uint64(env, id, &v);
    napi_set_element(env, array, n++, v);
  }
  return array;
}

// assign(reactor, slot, version, worker, owner, buffer | -1): 0; kGone; -ESRCH: it has not
// registered; -EPERM: it is another thread's, and not parked; -EXDEV: not a connection of the
// shared reactor. buffer: of the owner's read operation; its readers are not the owner's any more
// until it is done. Timeouts that were set go along.
napi_value JsAssign(napi_env env, Args<6>& a) {
  EnvState& state = a.state();
  JsReactor* r = state.reactor(a.u32(0));
  const VersionedId id = make_id(a.u32(1), a.u32(2));
  VcPool::Handle vc = NetVConnection::pool().address(id);
  if (!vc || !vc->home() || vc->closed_to_all()) return js_i32(env, kGone);
  SharedPool* pool = r ? r->shared() : nullptr;
  JsPort* port = state.port_of(vc->home());
  if (!pool || !port || !r->owns(*port)) return js_i32(env, -EXDEV);
  const uint32_t worker = a.u32(3);
  OnExit on_exit = OnExit::kClose;
  if (!pool->takes(worker, &on_exit)) return js_i32(env, -ESRCH);
  const bool owner = a.i32(4) != 0;
  if (!owner && !pool->unpark(id)) return js_i32(env, -EPERM);
  ReaderHold hold(a.i32(5) < 0 ? nullptr : state.buffer(a.u32(5)));
  // The pool outlives the command: its threads run it.
  const bool posted = remote::post(id, [pool, worker, on_exit, owner, mine = r->group(),
                                        hold = std::move(hold)](NetVConnection& at_home) {
    if (at_home.closed_now()) return;
    if (owner && !(at_home.observer && at_home.observer->belongs_to(mine))) return;
    if (owner) {
      JsReactor::hand_back(at_home);
    } else {
      at_home.watch_for_end(false);
    }
    Seat* seat = pool->find(worker);
    // It has ended meanwhile: as if it had had it.
    if (!seat) return on_exit == OnExit::kPark ? pool->park(at_home) : at_home.do_io_close();
    JsPort& to = seat->port_at(*at_home.handler);
    at_home.observer = &to;
    to.post_assigned(at_home, at_home.shut_sides(), CarriedTimeouts::of(at_home));
  });
  return js_i32(env, posted ? 0 : kGone);
}

// connectionEnded(reactor): lib has one connection less
napi_value JsConnectionEnded(napi_env, Args<1>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  if (r) r->seat().connections.fetch_sub(1, std::memory_order_relaxed);
  return nullptr;
}

// syncReactor(reactor): returns when its net threads have run what was posted before
napi_value JsSync(napi_env, Args<1>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  if (r && !r->is_inline()) r->on_every_thread([](size_t) {});
  return nullptr;
}

}  // namespace

void register_worker_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {
      entry<JsAttachShared, kPlain>("attachShared"),
      entry<JsRegister, kPlain>("registerSeat"),
      entry<JsWorkers, kPlain>("workers"),
      entry<JsParked, kPlain>("parked"),
      entry<JsAssign, kCommand>("assign"),
      entry<JsConnectionEnded, kPlain>("connectionEnded"),
      entry<JsSync, kFlush>("syncReactor"),
  };
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
