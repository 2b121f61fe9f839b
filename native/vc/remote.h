// vc/remote.h - public to the next layers.
//
// Commands to a connection from any thread, by id. A command runs on the connection's thread in
// the order one thread posted them (AD-1); if the connection is gone it does nothing; if the
// connection has moved to another net thread meanwhile it follows. Wait-free but for the wake-up of
// a sleeping net thread and the allocation of the command.
#pragma once

#include "vc/net_vconnection.h"

namespace netvc::remote {

namespace detail {

template <class F>
void run_at_home(VersionedId id, NetHandler& here, F f) {
  VcPool::Handle vc = NetVConnection::pool().address(id);
  if (!vc) return;
  if (!vc->is_at(here)) {
    vc->home()->post([id, f = std::move(f)](NetHandler& there) mutable {
      run_at_home(id, there, std::move(f));
    });
    return;
  }
  f(*vc);  // the handle keeps *vc even when f closes it
}

}  // namespace detail

/// Any thread. False when the id is stale (or was never attached): f will not run.
template <class F>
bool post(VersionedId id, F f) {
  VcPool::Handle vc = NetVConnection::pool().address(id);
  NetHandler* home = vc ? vc->home() : nullptr;
  if (!home) return false;
  return home->post([id, f = std::move(f)](NetHandler& here) mutable {
    detail::run_at_home(id, here, std::move(f));
  });
}

/// Any thread. Like VIO::reenable; posts at most one command per direction that is under way
/// (RE-4): the bit is set before the push and cleared by the net thread before it acts, so a
/// request is never lost. The exchange pairs with itself (acq_rel).
inline bool reenable(VersionedId id, Side s) {
  VcPool::Handle vc = NetVConnection::pool().address(id);
  if (!vc) return false;
  const uint32_t bit = 1u << static_cast<unsigned>(s);
  if (vc->remote_enables.fetch_or(bit, std::memory_order_acq_rel) & bit) return true;
  return post(id, [s, bit](NetVConnection& at_home) {
    at_home.remote_enables.fetch_and(~bit, std::memory_order_acq_rel);
    at_home.reenable(s == Side::kRead ? &at_home.read_vio : &at_home.write_vio);
  });
}

/// Any thread. The peer sees the end within one turn of the net thread (CL-3, B-14).
inline bool close(VersionedId id, int lerrno = -1) {
  return post(id, [lerrno](NetVConnection& vc) { vc.do_io_close(lerrno); });
}

}  // namespace netvc::remote
