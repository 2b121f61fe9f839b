// INV-4 at full length: 64 MiB through random buffers, marks and chunks.
#include <doctest/doctest.h>

#include "support/endpoint.h"
#include "support/ends.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"

namespace netvc::test {

namespace {

constexpr uint64_t kOther = 1'000'000'007;

void stream_on_threads(const Means& m, int64_t there, int64_t back, Shape a, Shape b) {
  LeakCheck leaks;
  a.greedy = b.greedy = true;
  Endpoint x(0, there, kOther, a, 1), y(kOther, back, 0, b, 2);
  NetThreads threads(2);
  connect_ends(
      m, threads[0], threads[1], [&](NetVConnection& vc) { x.start(vc); },
      [&](NetVConnection& vc) { y.start(vc); });
  REQUIRE(wait_for([&] { return x.done && y.done; }, 120 * kSecond));
  CHECK_EQ(x.right, back);
  CHECK_EQ(y.right, there);
  CHECK_EQ(x.error, 0);
  CHECK_EQ(y.error, 0);
}

// A chunk that is too small for the length would only measure system calls.
Shape shape_for(Random& random, int64_t bytes) {
  Shape s = Shape::random(random);
  s.chunk = std::max(s.chunk, bytes / 4096);
  s.in_index = std::max(s.in_index, 3);
  s.out_index = std::max(s.out_index, 3);
  return s;
}

}  // namespace

TEST_CASE("stress INV-4: 64 MiB one way, and both ways") {
  Random random(take_seed("64 MiB"));
  constexpr int64_t kLong = int64_t{64} << 20;
  stream_on_threads(over(Family::kTcp4), kLong, 1, shape_for(random, kLong),
                    shape_for(random, kLong));
  stream_on_threads(over(Family::kUnix), kLong / 2, kLong / 2, shape_for(random, kLong),
                    shape_for(random, kLong));
  stream_on_threads(kPair, kLong, kLong / 2, shape_for(random, kLong), shape_for(random, kLong));
}

TEST_CASE("stress INV-4: many random shapes, faults injected, on net threads") {
  Random random(take_seed("stream storm"));
  for (int i = 0; i < 30; ++i) {
    Faults faults;
    faults.random(static_cast<uint64_t>(random.below(1'000'000)), 40);
    const int64_t there = random.size(3'000'000), back = random.size(3'000'000);
    stream_on_threads(kEveryMeans[i % 4], there, back, shape_for(random, 2 * there),
                      shape_for(random, 2 * back));
  }
}

}  // namespace netvc::test
