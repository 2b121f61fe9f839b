// INV-4: what goes in comes out, for every shape of buffers, chunks, readers and faults.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "support/endpoint.h"
#include "support/ends.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/spin.h"

namespace netvc::test {

namespace {

constexpr uint64_t kOther = 1'000'000'007;

void stream(const Means& m, int64_t there, int64_t back, Shape a_shape, Shape b_shape,
            uint64_t seed, int64_t fault_in = 0) {
  CAPTURE(name_of(m));
  CAPTURE(there);
  CAPTURE(back);
  CAPTURE(seed);
  LeakCheck leaks;
  // None at all otherwise: with an injector a short read does not mean an empty socket.
  std::optional<Faults> faults;
  if (fault_in) faults.emplace().random(seed, fault_in);
  Endpoint a(0, there, kOther, a_shape, seed + 1), b(kOther, back, 0, b_shape, seed + 2);
  Loop loop;
  loop.exact_lists = fault_in == 0;
  connect_ends(
      m, loop.h, loop.h, [&](NetVConnection& vc) { a.start(vc); },
      [&](NetVConnection& vc) { b.start(vc); });
  const bool ended = loop.until(
      [&] {
        a.tick();
        b.tick();
        return a.done && b.done;
      },
      30 * kSecond);
  if (!m.pair) check_no_lost_wakeup(loop.h);
  REQUIRE(ended);
  CHECK_EQ(a.error, 0);
  CHECK_EQ(b.error, 0);
  CHECK_FALSE(a.wrong);
  CHECK_FALSE(b.wrong);
  CHECK_EQ(a.right, back);
  CHECK_EQ(b.right, there);
  CHECK_EQ(a.endings(Side::kRead), "EOS");
  CHECK_EQ(a.endings(Side::kWrite), there ? "WC" : "");
}

}  // namespace

TEST_CASE("INV-4: from one byte up, on every kind of socket and on pairs") {
  for (const Means& m : kEveryMeans) {
    for (int64_t n : {1, 2, 127, 128, 129, 4095, 4096, 4097, 65'536, 1'000'003}) {
      stream(m, n, 1'000'100 - n, {}, {}, 1);
    }
    stream(m, 0, 10, {}, {}, 1);
    stream(m, 0, 0, {}, {}, 1);
  }
}

TEST_CASE("INV-4: one byte at a time, through the smallest blocks") {
  Shape tiny;
  tiny.in_index = tiny.out_index = 0;
  tiny.in_mark = tiny.out_mark = 0;
  tiny.chunk = 1;
  stream(over(Family::kTcp4), 3000, 3000, tiny, tiny, 1);
  stream(over(Family::kUnix), 3000, 3000, tiny, tiny, 1);
  stream(kPair, 3000, 3000, tiny, tiny, 1);
}

TEST_CASE("INV-4: random shapes") {
  Random random(take_seed("stream shapes"));
  for (int i = 0; i < 40; ++i) {
    const Shape a = Shape::random(random), b = Shape::random(random);
    stream(kEveryMeans[i % 4], random.size(400'000), random.size(400'000), a, b,
           static_cast<uint64_t>(random.below(1'000'000)));
  }
}

TEST_CASE("INV-4: random shapes with short transfers, EINTR and ENOBUFS injected") {
  Random random(take_seed("stream faults"));
  for (int i = 0; i < 12; ++i) {
    Shape a = Shape::random(random), b = Shape::random(random);
    a.chunk = std::max<int64_t>(a.chunk, 200);
    b.chunk = std::max<int64_t>(b.chunk, 200);
    stream(over(i % 2 ? Family::kTcp4 : Family::kUnix), random.size(200'000), random.size(200'000),
           a, b, static_cast<uint64_t>(random.below(1'000'000)), 30);
  }
}

TEST_CASE("INV-4 F-054 F-115: the two ends on different net threads") {
  Random random(take_seed("stream threads"));
  // As many bytes as a shape moves in a thousand steps: each may have to wait for the other thread.
  const auto amount = [&](const Shape& from, const Shape& to) {
    const int block = 128 << std::min(from.out_index, to.in_index);
    return random.size(1000 * std::min<int64_t>({from.chunk, block, 1000}));
  };
  Rounds rounds(12);
  for (int i = 0; rounds.next(); ++i) {
    Shape a = Shape::random(random), b = Shape::random(random);
    a.greedy = b.greedy = true;
    const int64_t there = amount(a, b), back = amount(b, a);
    LeakCheck leaks;
    Endpoint x(0, there, kOther, a, 1), y(kOther, back, 0, b, 2);
    NetThreads threads(2);
    connect_ends(
        kEveryMeans[i % 4], threads[0], threads[1], [&](NetVConnection& vc) { x.start(vc); },
        [&](NetVConnection& vc) { y.start(vc); });
    REQUIRE(wait_for([&] { return x.done && y.done; }, 30 * kSecond));
    CHECK_EQ(x.right, back);
    CHECK_EQ(y.right, there);
    CHECK_EQ(x.error, 0);
    CHECK_EQ(y.error, 0);
  }
}

}  // namespace netvc::test
