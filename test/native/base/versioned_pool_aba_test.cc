#include <doctest/doctest.h>

#include "support/aba.h"

using namespace netvc::test;

namespace {

void check(int64_t lives, int places, uint64_t seed) {
  CAPTURE(places);
  AbaResult result;
  run_aba(lives, 2, places, seed, result);
  CHECK(result.wrong.load() == 0);
  CHECK(result.created.load() == lives);
  CHECK(result.destroyed.load() == lives);
  CHECK(result.hits.load() > 0);
  CHECK(result.misses.load() > 0);
}

}  // namespace

TEST_CASE("INV-11 10^6 lives with concurrent stale lookups: never another object, one death each") {
  check(1'000'000, 16, take_seed("versioned_pool_aba"));
}

TEST_CASE("SK-5 recycled exactly once when every lookup hits the slot that is recycled") {
  check(1'000'000, 1, take_seed("versioned_pool_recycle"));
}
