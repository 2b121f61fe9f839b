// binding/functions.h - internal to native/binding.
//
// The functions that lib/native.ts declares, by subject; each file registers its own. Plain
// functions with numbers instead of classes: a call costs what the conversion of its arguments
// costs. A connection is named by (slot, version), everything else by a small number of this env.
// Results: 0 or a count; a negative errno when it failed; kGone when the connection is gone.
//
// Each entry of a table says what its function needs done around it, so that no function has to
// remember: calls of one JavaScript thread take effect in the order of the program (AD-1), although
// small messages wait in shared memory, and an inline engine may need a turn for what was done.
#pragma once

#include "binding/env_state.h"
#include "binding/napi_util.h"

namespace netvc {

inline constexpr int kGone = -100000;

/// It neither sends, nor closes, nor asks about what was sent.
inline constexpr unsigned kPlain = 0;
/// What this thread has written before is submitted first.
inline constexpr unsigned kFlush = 1;
/// It may have queued work, told something, or armed a timer, of an inline engine of this thread.
inline constexpr unsigned kTouch = 2;
inline constexpr unsigned kCommand = kFlush | kTouch;

struct Function {
  const char* name;
  napi_callback call;
};

/// Every call from JavaScript comes in here.
template <auto kFunction, unsigned kNeeds>
struct Entry;
template <size_t N, napi_value (*kFunction)(napi_env, Args<N>&), unsigned kNeeds>
struct Entry<kFunction, kNeeds> {
  static napi_value call(napi_env env, napi_callback_info info) {
    Args<N> a(env, info);
    if constexpr (kNeeds & kFlush) a.state().flush_commands();
    napi_value result = kFunction(env, a);
    if constexpr (kNeeds & kTouch) a.state().touched();
    return result;
  }
};
template <auto kFunction, unsigned kNeeds>
constexpr Function entry(const char* name) {
  return {name, &Entry<kFunction, kNeeds>::call};
}

void register_functions(napi_env env, napi_value exports, EnvState& state, const Function* table,
                        size_t n);

void register_loop_functions(napi_env env, napi_value exports, EnvState& state);
void register_reactor_functions(napi_env env, napi_value exports, EnvState& state);
void register_vc_functions(napi_env env, napi_value exports, EnvState& state);
void register_socket_functions(napi_env env, napi_value exports, EnvState& state);
void register_message_functions(napi_env env, napi_value exports, EnvState& state);
void register_worker_functions(napi_env env, napi_value exports, EnvState& state);
void register_limit_functions(napi_env env, napi_value exports, EnvState& state);
void register_pair_functions(napi_env env, napi_value exports, EnvState& state);
void register_table_functions(napi_env env, napi_value exports, EnvState& state);
void register_buffer_functions(napi_env env, napi_value exports, EnvState& state);

}  // namespace netvc
