// What lib needs of Node's loop, and no global that a program may replace can give: word of a
// moment of the loop, and the way of an exception to 'uncaughtException'.
#include <uv.h>

#include "binding/functions.h"

namespace netvc {

namespace {

// A uv handle that is never started: closing it tells in the closing phase of the same turn. Owner:
// the loop, until that.
struct ClosingPhase {
  uv_idle_t handle;
  EnvState* state;
  napi_ref callback;
};

// inClosingPhase(callback): calls it once, in the closing phase of the loop, when other handles
// that are closed now are told so.
napi_value JsInClosingPhase(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  auto* phase = new ClosingPhase{{}, &a.state(), nullptr};
  napi_create_reference(env, a[0], 1, &phase->callback);
  uv_idle_init(a.state().loop(), &phase->handle);
  a.state().handle_opened();
  uv_close(reinterpret_cast<uv_handle_t*>(&phase->handle), [](uv_handle_t* h) {
    auto* closed = reinterpret_cast<ClosingPhase*>(h);
    EnvState* state = closed->state;
    state->call(closed->callback);
    napi_delete_reference(state->env(), closed->callback);
    delete closed;
    state->handle_closed();
  });
  return nullptr;
}

// tellUncaught(error): as if it had been thrown here with nobody to catch it. The process may end
// in it; otherwise 'uncaughtException' has been told, in the async context of the caller.
napi_value JsTellUncaught(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  napi_fatal_exception(env, a[0]);
  return nullptr;
}

}  // namespace

void register_loop_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {{"inClosingPhase", JsInClosingPhase}, {"tellUncaught", JsTellUncaught}};
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
