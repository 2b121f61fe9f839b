// base/striped_counter.h - public to every layer.
//
// A number that many threads change at full speed: each thread counts in a cache line of its own
// (of sixteen, shared by threads that meet there). The sum is exact when nobody is counting, and
// otherwise the sum of values that were true at about the same time. All relaxed: a counter
// publishes nothing but itself.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace netvc {

class StripedCounter {
 public:
  void add(int64_t n) { stripes_[mine()].v.fetch_add(n, std::memory_order_relaxed); }
  int64_t get() const {
    int64_t sum = 0;
    for (const Stripe& s : stripes_)
      sum += s.v.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  static constexpr size_t kStripes = 16;
  struct alignas(64) Stripe {
    std::atomic<int64_t> v{0};
  };

  static size_t mine() {
    static std::atomic<size_t> threads{0};
    static thread_local const size_t index =
        threads.fetch_add(1, std::memory_order_relaxed) % kStripes;
    return index;
  }

  Stripe stripes_[kStripes];
};

}  // namespace netvc
