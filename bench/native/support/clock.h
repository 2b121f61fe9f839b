// support/clock.h - nanoseconds of the monotonic clock (about 25 ns per call).
#pragma once

#include <time.h>

#include <cstdint>

namespace netvc::bench {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kSecond = 1'000'000'000;

inline uint64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace netvc::bench
