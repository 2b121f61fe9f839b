// support/ends.h - for tests.
//
// Two connections that talk to each other, of every kind that there is: over sockets, or a pair
// inside the process (PV-*). What is said of VConnections is said of both (INV-21).
#pragma once

#include "server/pair.h"
#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/net_threads.h"
#include "vc/remote.h"

namespace netvc::test {

/// Where two connections come from: a kind of socket, or none.
struct Means {
  bool pair;
  Family family;
};
inline constexpr Means kPair{true, Family::kUnix};
inline constexpr Means over(Family f) { return {false, f}; }
inline constexpr Means kEveryMeans[] = {over(Family::kTcp4), over(Family::kTcp6),
                                        over(Family::kUnix), kPair};
inline std::string name_of(const Means& m) { return m.pair ? "pair" : name_of(m.family); }

/// Attaches one end to each of the handlers and hands it over there: at once on the thread of this
/// test, else soon.
template <class A, class B>
void connect_ends(const Means& means, NetHandler& at_a, NetHandler& at_b, A take_a, B take_b,
                  const PairOptions& options = {}) {
  if (means.pair) {
    NetVConnection *a = nullptr, *b = nullptr;
    REQUIRE(PairEnd::create(options, &a, &b));
    const VersionedId a_id = a->id(), b_id = b->id();
    const auto start = [](NetHandler& h, NetVConnection* vc, VersionedId id, auto take) {
      if (h.in_thread()) {
        vc->start_here(h);
        return take(*vc);
      }
      vc->start_at(h);
      remote::post(id, [take](NetVConnection& there) { take(there); });
    };
    start(at_a, a, a_id, take_a);
    start(at_b, b, b_id, take_b);
    return;
  }
  FdPair p = fd_pair(means.family);
  const auto start = [](NetHandler& h, UniqueFd fd, VcContext context, auto take) {
    if (h.in_thread()) return take(*adopt(h, std::move(fd), context));
    h.post([fd = fd.release(), context, take](NetHandler& here) {
      take(*adopt(here, UniqueFd(fd), context));
    });
  };
  start(at_a, std::move(p.a), VcContext::kOutbound, take_a);
  start(at_b, std::move(p.b), VcContext::kInbound, take_b);
}

/// Both ends of a pair on one loop.
struct TwoEnds {
  explicit TwoEnds(Loop& loop, const PairOptions& options = {}) {
    connect_ends(
        kPair, loop.h, loop.h, [this](NetVConnection& vc) { a = &vc; },
        [this](NetVConnection& vc) { p = &vc; }, options);
    a_id = a->id();
    p_id = p->id();
  }
  NetVConnection* a = nullptr;  // active
  NetVConnection* p = nullptr;  // passive
  VersionedId a_id = 0, p_id = 0;
};

/// A pair on a loop; `writer` and `reader` are for what a test makes of them.
struct PairFixture {
  LeakCheck leaks;
  Loop loop;
  TwoEnds ends{loop};
  NetVConnection& a = *ends.a;
  NetVConnection& p = *ends.p;
  Recorder writer, reader;
  Buf out{kIndexLarge, 1 << 20}, in;
};

inline bool is_alive(VersionedId id) {
  return static_cast<bool>(NetVConnection::pool().address(id));
}

}  // namespace netvc::test
