// binding/functions.h - internal to native/binding.
//
// The functions that lib/native.ts declares, by subject; each file registers its own. Plain
// functions with numbers instead of classes: a call costs what the conversion of its arguments
// costs. A connection is named by (slot, version), everything else by a small number of this env.
// Results: 0 or a count; a negative errno when it failed; kGone when the connection is gone.
#pragma once

#include "binding/env_state.h"
#include "binding/napi_util.h"

namespace netvc {

inline constexpr int kGone = -100000;

struct Function {
  const char* name;
  napi_callback call;
};

void register_functions(napi_env env, napi_value exports, EnvState& state, const Function* table,
                        size_t n);

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
