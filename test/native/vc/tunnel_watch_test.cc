// When a tunnel ends by itself: decided from what it is shown, so the clock is the test's.
#include "vc/tunnel_watch.h"

#include <doctest/doctest.h>

#include <initializer_list>

namespace netvc::test {

namespace {

constexpr TunnelEnd kGoesOn{};
constexpr Nanos kStart = 1000 * kSecond;

struct Watch {
  explicit Watch(const TunnelLimits& limits) { watch.start(limits, kStart); }
  TunnelEnd at(Nanos after) { return (last = watch.check(look, kStart + after)).end; }

  TunnelWatch watch;
  TunnelWatch::Look look;
  TunnelWatch::Finding last;
};

}  // namespace

TEST_CASE("tunnel watch: without limits it never looks") {
  Watch w{TunnelLimits{}};
  CHECK_FALSE(TunnelLimits{}.any());
  CHECK_EQ(w.at(1'000'000 * kSecond), kGoesOn);
  CHECK_EQ(w.last.next, 0);
}

TEST_CASE("tunnel watch: inactivity counts from the start, and from each byte") {
  Watch w{{.inactivity = 10 * kSecond}};
  CHECK_EQ(w.at(10 * kSecond), kGoesOn);
  CHECK_GT(w.last.next, kStart + 10 * kSecond);
  CHECK_LE(w.last.next, kStart + 10 * kSecond + 10 * kSecond / 32);
  CHECK_EQ(w.at(10 * kSecond + 1), TunnelEnd::kInactivity);
  w.look.last_activity = kStart + 7 * kSecond;
  CHECK_EQ(w.at(17 * kSecond), kGoesOn);
  CHECK_EQ(w.at(17 * kSecond + 1), TunnelEnd::kInactivity);
}

TEST_CASE("tunnel watch B-76: active comes whatever moves") {
  Watch w{{.inactivity = kSecond, .active = 10 * kSecond}};
  for (int s = 1; s <= 10; ++s) {
    w.look.last_activity = kStart + s * kSecond;
    CHECK_EQ(w.at(s * kSecond), kGoesOn);
  }
  w.look.last_activity = kStart + 10 * kSecond + 1;
  CHECK_EQ(w.at(10 * kSecond + 1), TunnelEnd::kActive);
}

TEST_CASE(
    "tunnel watch: half_close counts from the end of a direction, and from each byte after it") {
  Watch w{{.half_close = 5 * kSecond}};
  CHECK_EQ(w.at(100 * kSecond), kGoesOn);
  CHECK_EQ(w.last.next, 0);
  w.look.half_closed_at = kStart + 100 * kSecond;
  CHECK_EQ(w.at(105 * kSecond), kGoesOn);
  w.look.last_activity = kStart + 104 * kSecond;
  CHECK_EQ(w.at(109 * kSecond), kGoesOn);
  CHECK_EQ(w.at(109 * kSecond + 1), TunnelEnd::kHalfClose);
}

TEST_CASE(
    "tunnel watch: a side that takes nothing is a stall, though the other direction is busy") {
  Watch w{{.inactivity = 100 * kSecond, .stall = 8 * kSecond}};
  for (int side : {0, 1}) {
    w.look = {};
    w.look.last_activity = kStart;
    CHECK_EQ(w.at(0), kGoesOn);
    auto& stuck = w.look.direction[1 - side];
    stuck = {true, 500};
    w.look.direction[side] = {true, 0};
    for (int s = 0; s <= 8; ++s) {
      w.look.direction[side].taken += 1000;
      w.look.last_activity = kStart + s * kSecond;
      CHECK_EQ(w.at(s * kSecond), kGoesOn);
      CHECK_LE(w.last.next, kStart + s * kSecond + 2 * kSecond + kSecond);
    }
    w.look.direction[side].taken += 1000;
    CHECK_EQ(w.at(8 * kSecond + 1), TunnelEnd::kStall);
    CHECK_EQ(w.last.side, side);
  }
}

TEST_CASE("tunnel watch: one byte a second, or nothing that waits, is no stall") {
  Watch w{{.stall = 2 * kSecond}};
  for (int s = 0; s < 100; ++s) {
    w.look.direction[0] = {true, s};
    w.look.direction[1] = {false, 7};
    CHECK_EQ(w.at(s * kSecond), kGoesOn);
  }
}

}  // namespace netvc::test
