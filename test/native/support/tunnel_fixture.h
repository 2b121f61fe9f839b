// support/tunnel_fixture.h - for tests.
//
//   left (plain socket) <-> a === tunnel === b <-> right (plain socket)
//
// Both connections on one loop; the test plays both far ends.
#pragma once

#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"
#include "support/pattern.h"
#include "vc/tunnel.h"

namespace netvc::test {

struct TunnelEnds final : TunnelListener {
  void on_tunnel_end(Tunnel&, const TunnelResult& r) override {
    ++told;
    result = r;
  }
  int told = 0;
  TunnelResult result;
};

struct TunnelFixture {
  explicit TunnelFixture(Family f = Family::kTcp4, const TunnelOptions& options = {})
      : a(loop, f), b(loop, f), tunnel(new Tunnel(&ends, options)) {}

  void start() {
    VcPool& pool = NetVConnection::pool();
    tunnel->start(pool.address(a.id), pool.address(b.id));
    loop.settle();
  }
  RawPeer& left() { return a.peer; }
  RawPeer& right() { return b.peer; }
  /// What arrives at `at` while the loop turns, until n bytes are there.
  std::string receive(RawPeer& at, size_t n) {
    std::string got;
    REQUIRE(loop.until([&] {
      got += at.take(n - got.size());
      return got.size() == n;
    }));
    return got;
  }
  void expect_end_of_stream(RawPeer& at) {
    REQUIRE(loop.until([&] { return at.at_end(); }));
  }
  void expect_ended(TunnelEnd how) {
    REQUIRE(loop.until([&] { return ends.told > 0; }));
    loop.settle();
    CHECK_EQ(ends.told, 1);
    CHECK_EQ(static_cast<int>(ends.result.end), static_cast<int>(how));
    CHECK(tunnel->ended());
    CHECK(loop.until([&] { return !a.alive() && !b.alive(); }));
    CHECK_EQ(tunnel->ref_count(), 1);
  }

  /// Installed by the first use: with an injector a short read does not mean an empty socket.
  Faults& faults() {
    if (!faults_) faults_ = std::make_unique<Faults>();
    return *faults_;
  }

  LeakCheck leaks;
  std::unique_ptr<Faults> faults_;
  TunnelEnds ends;
  Loop loop;
  VcAndPeer a, b;
  Ref<Tunnel> tunnel;
};

}  // namespace netvc::test
