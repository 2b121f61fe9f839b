// Tunnels that end because of a limit: each with its own reason, both connections closed.
#include <doctest/doctest.h>

#include "support/tunnel_fixture.h"

namespace netvc::test {

namespace {

constexpr Nanos kShort = 20 * kMillisecond;

TunnelOptions limited(const TunnelLimits& limits) {
  TunnelOptions o;
  o.limits = limits;
  return o;
}

struct Limited : TunnelFixture {
  explicit Limited(const TunnelLimits& limits) : TunnelFixture(Family::kUnix, limited(limits)) {}
};

// As much as the kernel and the tunnel take, while nobody reads at `to`.
void fill(Limited& t, RawPeer& from) {
  const std::string bytes = pattern(0, 65536);
  const auto moved = [&] { return t.a->bytes_in() + t.b->bytes_in(); };
  for (int64_t before = -1; before != moved();) {
    before = moved();
    from.send_some(bytes);
    t.loop.settle();
  }
}

}  // namespace

TEST_CASE("tunnel limits: inactivity") {
  Limited t({.inactivity = kShort});
  t.start();
  const Nanos sent = monotonic_now();
  t.left().send("hello");
  CHECK_EQ(t.receive(t.right(), 5), "hello");
  t.expect_ended(TunnelEnd::kInactivity);
  CHECK_GT(monotonic_now() - sent, kShort);
}

TEST_CASE("tunnel limits B-76: active, though both sides go on sending") {
  Limited t({.inactivity = 50 * kShort, .active = 3 * kShort});
  const Nanos started = monotonic_now();
  t.start();
  int rounds = 0;
  REQUIRE(t.loop.until([&] {
    if (t.ends.told) return true;
    t.left().send_some("x");
    t.right().send_some("y");
    t.left().take(1);
    t.right().take(1);
    ++rounds;
    return false;
  }));
  CHECK_GT(monotonic_now() - started, 3 * kShort);
  CHECK_GT(rounds, 0);
  t.expect_ended(TunnelEnd::kActive);
}

TEST_CASE("tunnel limits: half-close - a peer that never closes its side") {
  Limited t({.half_close = kShort});
  t.start();
  t.left().send("last");
  t.left().shutdown(SHUT_WR);
  CHECK_EQ(t.receive(t.right(), 4), "last");
  t.expect_end_of_stream(t.right());
  t.expect_ended(TunnelEnd::kHalfClose);
}

TEST_CASE("tunnel limits: stall - a side that sends, but takes nothing") {
  Limited t({.inactivity = 100 * kShort, .stall = 3 * kShort});
  t.start();
  fill(t, t.left());
  REQUIRE(t.loop.until([&] {
    if (t.ends.told) return true;
    t.right().send_some("y");
    t.left().take(1);
    return false;
  }));
  t.expect_ended(TunnelEnd::kStall);
  CHECK_EQ(t.ends.result.side, 1);
}

TEST_CASE("tunnel limits: none of them, when all is well") {
  Limited t({.inactivity = 3600 * kSecond,
             .active = 3600 * kSecond,
             .half_close = 3600 * kSecond,
             .stall = kShort});
  t.start();
  const Nanos until = monotonic_now() + 5 * kShort;
  t.loop.until([&] { return monotonic_now() > until; });
  t.left().send("a");
  CHECK_EQ(t.receive(t.right(), 1), "a");
  t.left().shutdown(SHUT_WR);
  t.right().shutdown(SHUT_WR);
  t.expect_ended(TunnelEnd::kEos);
}

}  // namespace netvc::test
