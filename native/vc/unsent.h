// vc/unsent.h - public to the next layers.
//
// Unsent: what a connection was given and the kernel has not taken: bytes, and the requests that
// carry them, in one word, so that a submission counts both with one addition. Requests count since
// each costs memory of its own: a million messages of one byte are a hundred megabytes.
//
// Threads: add() by whoever submits, before the exchange (B-65); take() by the connection's thread.
// Relaxed: it orders nothing. Up to 256 GiB and 67 million requests; more requests than that make
// footprint() too small, and nothing else.
#pragma once

#include <atomic>
#include <cstdint>

#include "buffer/small_memory.h"
#include "vc/write_request.h"

namespace netvc {

class Unsent {
 public:
  void add(int64_t bytes, int64_t requests) {
    v_.fetch_add(word(bytes, requests), std::memory_order_relaxed);
  }
  /// The bytes that are left.
  int64_t take(int64_t bytes, int64_t requests) {
    const uint64_t w = word(bytes, requests);
    return bytes_of(v_.fetch_sub(w, std::memory_order_relaxed) - w);
  }

  int64_t bytes() const { return bytes_of(v_.load(std::memory_order_relaxed)); }
  int64_t requests() const {
    return static_cast<int64_t>(v_.load(std::memory_order_relaxed) >> kBits);
  }
  /// Bytes of memory that all of it takes.
  int64_t footprint() const {
    const uint64_t v = v_.load(std::memory_order_relaxed);
    return bytes_of(v) + static_cast<int64_t>(v >> kBits) * kRequestBytes;
  }
  /// Of one request, besides its message: with the allocator's header and half a step of rounding.
  static constexpr int64_t kRequestBytes = sizeof(WriteRequest) + 16 + SmallMemory::kStep / 2;

 private:
  static constexpr int kBits = 38;
  static uint64_t word(int64_t bytes, int64_t requests) {
    return (static_cast<uint64_t>(requests) << kBits) + static_cast<uint64_t>(bytes);
  }
  static int64_t bytes_of(uint64_t v) {
    return static_cast<int64_t>(v & ((uint64_t{1} << kBits) - 1));
  }

  std::atomic<uint64_t> v_{0};
};

}  // namespace netvc
