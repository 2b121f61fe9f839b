// base/clock.h - public to every layer.
//
// Monotonic time in nanoseconds (AD-10): late after a suspend, never early, never backwards.
#pragma once

#include <time.h>

#include <cstdint>

namespace netvc {

using Nanos = int64_t;

inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000 * kMillisecond;

inline Nanos monotonic_now() {
  timespec ts;
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return Nanos{ts.tv_sec} * kSecond + ts.tv_nsec;
}

}  // namespace netvc
