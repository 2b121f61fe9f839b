// Random tests: every run takes a new seed and prints it; NETVC_SEED=<n> repeats one.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace netvc::test {

/// Prints at once, so that the seed is known after a crash as well.
inline uint64_t take_seed(const char* test) {
  const char* given = std::getenv("NETVC_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::fprintf(stderr, "%s: NETVC_SEED=%llu\n", test, static_cast<unsigned long long>(seed));
  return seed;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  /// From 0 to n - 1.
  int64_t below(int64_t n) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(n)); }
  bool one_in(int64_t n) { return below(n) == 0; }
  /// From 1 to most, small numbers as likely as large ones.
  int64_t size(int64_t most) {
    int64_t n = 1 + below(16);
    while (n < most && !one_in(3))
      n *= 1 + below(4);
    return n < most ? n : most;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace netvc::test
