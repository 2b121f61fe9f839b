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

/// What JavaScript knows a reader by: its place in the buffer, and which of those that have had it.
/// So a number that is kept after dealloc never reaches another reader.
inline int32_t reader_number(const MIOBuffer& m, const IOBufferReader& r) {
  return static_cast<int32_t>(
      (MIOBuffer::life_number(r) << 3 | static_cast<uint32_t>(m.index_of(&r))) & 0x7fff'ffff);
}
/// Null when it was deallocated, or m is null.
inline IOBufferReader* find_reader(MIOBuffer* m, int32_t number) {
  const int place = number & 7;
  if (!m || number < 0 || place >= m->places()) return nullptr;
  IOBufferReader* r = m->reader_at(place);
  return MIOBuffer::is_active(*r) && reader_number(*m, *r) == number ? r : nullptr;
}

/// An I/O operation of a net thread uses this side of the buffer, or is about to.
inline bool writer_busy(const MIOBuffer& m) {
  return m.shared() && m.writer_lease.load(std::memory_order_acquire) > 0;
}
inline bool reader_busy(const IOBufferReader& r) {
  return r.mbuf()->shared() && r.lease.load(std::memory_order_acquire) > 0;
}

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
void register_room_functions(napi_env env, napi_value exports, EnvState& state);
void register_buffer_functions(napi_env env, napi_value exports, EnvState& state);

}  // namespace netvc
