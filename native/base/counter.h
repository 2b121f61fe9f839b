// base/counter.h - public to every layer.
//
// A number with one writing thread and any number of readers. Writing costs a plain load and
// store (no locked instruction); a reader may be a few increments behind. All relaxed: a counter
// publishes nothing but itself.
#pragma once

#include <atomic>
#include <cstdint>

namespace netvc {

class Counter {
 public:
  void add(int64_t n = 1) {
    v_.store(v_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(int64_t n) { v_.store(n, std::memory_order_relaxed); }
  void reset() { v_.store(0, std::memory_order_relaxed); }
  int64_t get() const { return v_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> v_{0};
};

}  // namespace netvc
