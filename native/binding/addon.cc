// binding/addon.cc - entry point of the addon: what require('netvc.node') returns. Runs once per
// env (main thread and every worker that loads netvc).
#include <dlfcn.h>

#include "binding/functions.h"
#include "vc/net_vconnection.h"

namespace netvc {

namespace {

// Node unloads an addon when the last worker that loaded it exits, although net threads of another
// env may still run its code. One reference that is never given back keeps it mapped.
void pin_shared_object() {
  static const bool pinned = [] {
    Dl_info info;
    if (::dladdr(reinterpret_cast<void*>(&pin_shared_object), &info) == 0) return false;
    return ::dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE) != nullptr;
  }();
  (void)pinned;
}

napi_value wrap_memory(napi_env env, void* memory, size_t bytes, napi_typedarray_type type,
                       size_t length) {
  napi_value buffer = nullptr, array = nullptr;
  // No finalizer: the memory belongs to the EnvState and outlives every use by lib.
  if (napi_create_external_arraybuffer(
          env, memory, bytes, [](napi_env, void*, void*) {}, nullptr, &buffer) != napi_ok) {
    return nullptr;
  }
  napi_create_typedarray(env, type, length, buffer, 0, &array);
  return array;
}

napi_value JsSetDispatch(napi_env, Args<1>& a) {
  a.state().set_dispatch(a[0]);
  return nullptr;
}

// flush(): kFlush is all that it does.
napi_value JsFlush(napi_env, Args<1>&) { return nullptr; }

napi_value JsPortRecords(napi_env env, Args<1>& a) {
  RecordPort* p = a.state().port(a.u32(0));
  return p ? wrap_memory(env, p->ring.memory(), EventRing::bytes(), napi_int32_array,
                         EventRing::bytes() / 4)
           : nullptr;
}

}  // namespace

void register_functions(napi_env env, napi_value exports, EnvState& state, const Function* table,
                        size_t n) {
  for (size_t i = 0; i < n; ++i) {
    napi_value f = nullptr;
    napi_create_function(env, table[i].name, NAPI_AUTO_LENGTH, table[i].call, &state, &f);
    set(env, exports, table[i].name, f);
  }
}

}  // namespace netvc

NAPI_MODULE_INIT() {
  using namespace netvc;
  pin_shared_object();
  EnvState* state = EnvState::create(env);
  if (!state) {
    napi_throw_error(env, "ERR_NETVC_LOAD", "netvc: this runtime gives addons no event loop");
    return nullptr;
  }
  set(env, exports, "version", js_text(env, NETVC_VERSION));
  napi_value control = wrap_memory(env, state->control(), EnvState::kControlWords * 4,
                                   napi_int32_array, EnvState::kControlWords);
  if (!control) {
    napi_throw_error(env, "ERR_NETVC_LOAD", "netvc: this runtime refuses external array buffers");
    return nullptr;
  }
  set(env, exports, "control", control);
  set(env, exports, "commands",
      wrap_memory(env, state->commands(), EnvState::kMaxCommands * 16, napi_int32_array,
                  EnvState::kMaxCommands * 4));
  set(env, exports, "out",
      wrap_memory(env, state->out(), EnvState::kOutBytes, napi_uint8_array, EnvState::kOutBytes));
  set(env, exports, "failures",
      wrap_memory(env, &NetVConnection::failures(), sizeof(uint32_t), napi_uint32_array, 1));
  const Function table[] = {entry<JsSetDispatch, kPlain>("setDispatch"),
                            entry<JsFlush, kCommand>("flush"),
                            entry<JsPortRecords, kPlain>("portRecords")};
  register_functions(env, exports, *state, table, std::size(table));
  register_loop_functions(env, exports, *state);
  register_reactor_functions(env, exports, *state);
  register_vc_functions(env, exports, *state);
  register_socket_functions(env, exports, *state);
  register_message_functions(env, exports, *state);
  register_worker_functions(env, exports, *state);
  register_limit_functions(env, exports, *state);
  register_pair_functions(env, exports, *state);
  register_table_functions(env, exports, *state);
  register_buffer_functions(env, exports, *state);
  register_room_functions(env, exports, *state);
  return exports;
}
