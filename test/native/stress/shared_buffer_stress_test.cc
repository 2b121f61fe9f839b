#include <doctest/doctest.h>

#include "support/counting.h"
#include "support/random.h"
#include "support/spsc.h"

using namespace netvc::test;

TEST_CASE(
    "INV-4 shared buffers of random shapes, 1 byte to 16 MiB, with rest and leaving readers") {
  const uint64_t seed = take_seed("shared_buffer_stress");
  Random random(seed);
  for (int round = 0; round < 150; ++round) {
    BlockCount count;
    SpscOptions options;
    options.seed = seed + static_cast<uint64_t>(round) * 100;
    options.readers = 1 + static_cast<int>(random.below(netvc::MIOBuffer::kMaxReaders));
    options.size_index =
        random.one_in(4) ? -static_cast<int>(random.size(500)) : static_cast<int>(random.below(7));
    options.water_mark = random.one_in(3) ? 0 : random.size(20'000);
    options.bytes = round == 0 ? 16 << 20 : random.size(500'000);
    options.deallocs = random.one_in(3);
    CAPTURE(options.seed);
    SpscResult result;
    run_spsc(options, result);
    REQUIRE(result.wrong.load() == 0);
    REQUIRE(result.negative.load() == 0);
  }
}
