// Waiting for another thread without going to sleep, for tests that are after a narrow moment.
#pragma once

#include <sched.h>

#include <chrono>
#include <limits>

namespace netvc::test {

/// Call once() in each turn of a loop that waits for another thread or runs against it. Most turns
/// cost nothing, so that two threads on two CPUs meet at every moment; every 64th leaves the CPU
/// to the other thread, which may have none of its own: a loop that does not would spin until its
/// time slice ends, milliseconds in each round.
class Spin {
 public:
  void once() {
    if (++turns_ % 64 == 0) ::sched_yield();
  }

 private:
  unsigned turns_ = 0;
};

/// Bounds a loop in count and in time, 10 s: with other work on the CPU each handing over between
/// threads may cost a time slice, and a race that was run less often is no failure.
class Rounds {
 public:
  explicit Rounds(int count = std::numeric_limits<int>::max()) : left_(count) {}
  bool next() { return left_-- > 0 && std::chrono::steady_clock::now() < deadline_; }

 private:
  int left_;
  std::chrono::steady_clock::time_point deadline_ =
      std::chrono::steady_clock::now() + std::chrono::seconds(10);
};

}  // namespace netvc::test
