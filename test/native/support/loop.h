// support/loop.h - for tests.
//
// Loop: a handler in the test's own thread, driven turn by turn, as the inline engine does; what a
// turn does is determined by the sockets alone. Nothing sleeps: waiting means polling with a bound.
// After every turn the lists are checked (INV-7).
#pragma once

#include <doctest/doctest.h>

#include "net/net_handler.h"
#include "support/invariants.h"
#include "support/raw_peer.h"
#include "vc/net_vconnection.h"

namespace netvc::test {

inline constexpr Nanos kPatience = 10 * kSecond;

class Loop {
 public:
  Loop() { REQUIRE_EQ(h.open(), 0); }
  ~Loop() { h.shut_down(); }

  void turn(int n = 1) {
    while (n-- > 0)
      one(0);
  }
  /// Turns until done() or the bound; true if done.
  template <class Done>
  bool until(Done done, Nanos bound = kPatience) {
    const Nanos give_up = monotonic_now() + bound;
    while (!done()) {
      if (monotonic_now() > give_up) return false;
      one(kMillisecond);
    }
    return true;
  }
  /// Turns until nothing happens any more: neither readiness, nor queued work.
  void settle() {
    for (int quiet = 0; quiet < 3;) {
      const int64_t before = activity();
      one(0);
      quiet = activity() == before && !h.has_work() ? quiet + 1 : 0;
    }
  }
  /// Turns until the descriptor has the readiness and the handler has seen it.
  void see(int fd, short events) {
    REQUIRE(wait_fd(fd, events));
    settle();
  }

  NetHandler h;
  /// Off while a connection waits for memory, or for a continuation that takes no event.
  bool exact_lists = true;

 private:
  void one(Nanos max_wait) {
    h.turn(max_wait);
    if (exact_lists) check_lists(h);
  }
  int64_t activity() const {
    const NetCounters& c = h.counters;
    return c.poll_events.get() + c.read_calls.get() + c.write_calls.get() + c.events.get();
  }
};

/// A connection on h over fd (any kind), as connect_up makes one.
inline NetVConnection* adopt(NetHandler& h, UniqueFd fd, VcContext context = VcContext::kInbound) {
  Connection con;
  REQUIRE_EQ(con.adopt(fd.get()), 0);
  fd.release();
  NetVConnection* vc = NetVConnection::create(std::move(con), context);
  REQUIRE(vc != nullptr);
  vc->read.triggered = vc->write.triggered = true;
  REQUIRE_EQ(vc->attach(h), 0);
  return vc;
}

/// One connection on the loop, and the plain socket it talks to.
struct VcAndPeer {
  VcAndPeer(Loop& loop, Family f) {
    FdPair p = fd_pair(f);
    peer = RawPeer(std::move(p.b));
    vc = adopt(loop.h, std::move(p.a));
    id = vc->id();
  }
  bool alive() const { return static_cast<bool>(NetVConnection::pool().address(id)); }
  NetVConnection* operator->() const { return vc; }

  NetVConnection* vc;
  VersionedId id;
  RawPeer peer;
};

}  // namespace netvc::test
