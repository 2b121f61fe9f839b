#include <doctest/doctest.h>

#include "support/aba.h"

using namespace netvc::test;

TEST_CASE("INV-11 10^7 lives with concurrent stale lookups") {
  AbaResult result;
  run_aba(10'000'000, 2, 16, take_seed("versioned_pool_stress"), result);
  CHECK(result.wrong.load() == 0);
  CHECK(result.created.load() == 10'000'000);
  CHECK(result.destroyed.load() == 10'000'000);
}
