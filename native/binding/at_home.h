// binding/at_home.h - internal to native/binding.
//
// From the (slot, version) of a call to the connection, and to its thread.
#pragma once

#include "binding/functions.h"
#include "vc/remote.h"

namespace netvc {

template <size_t N>
VersionedId id_of(const Args<N>& a, size_t at = 0) {
  return make_id(a.u32(at), a.u32(at + 1));
}

inline VcPool::Handle find(VersionedId id) { return NetVConnection::pool().address(id); }

/// Runs f on the connection's thread: now if that is this one, else as a command. kGone when it is
/// gone. For functions that are registered with kTouch.
template <class F>
int32_t run(VersionedId id, F f) {
  VcPool::Handle vc = find(id);
  NetHandler* home = vc ? vc->home() : nullptr;
  if (!home) return kGone;
  if (home->in_thread()) {
    f(*vc);
    return 0;
  }
  return remote::post(id, std::move(f)) ? 0 : kGone;
}

}  // namespace netvc
