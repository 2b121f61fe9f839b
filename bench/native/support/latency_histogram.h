// support/latency_histogram.h - counts of durations, 32 steps per power of two
// (3 % resolution), 1 ns to 60 s, in 4 KiB. Merging and clearing are cheap enough
// to be done once per measuring window.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

namespace netvc::bench {

class LatencyHistogram {
 public:
  void Record(uint64_t nanoseconds) { ++counts_[IndexOf(nanoseconds)]; }

  void Merge(const LatencyHistogram& other) {
    for (size_t i = 0; i < counts_.size(); ++i)
      counts_[i] += other.counts_[i];
  }

  void Clear() { counts_.fill(0); }

  // The duration below which `fraction` of the samples lie; NaN without samples.
  double QuantileMicroseconds(double fraction) const {
    uint64_t total = 0;
    for (const uint32_t count : counts_)
      total += count;
    if (total == 0) return std::numeric_limits<double>::quiet_NaN();
    uint64_t rank = static_cast<uint64_t>(fraction * static_cast<double>(total - 1));
    size_t index = 0;
    while (rank >= counts_[index])
      rank -= counts_[index++];
    return static_cast<double>(LowerBound(index)) / 1000.0;
  }

 private:
  static constexpr size_t kSteps = 32;
  static constexpr size_t kOctaves = 32;

  static size_t IndexOf(uint64_t value) {
    if (value < kSteps) return value;
    const size_t octave = static_cast<size_t>(std::bit_width(value)) - 6;  // 0 for 32..63
    const size_t index = kSteps * (octave + 1) + ((value >> octave) & (kSteps - 1));
    return index < kSteps * kOctaves ? index : kSteps * kOctaves - 1;
  }
  static uint64_t LowerBound(size_t index) {
    if (index < kSteps) return index;
    const size_t octave = index / kSteps - 1;
    return (kSteps + index % kSteps) << octave;
  }

  std::array<uint32_t, kSteps * kOctaves> counts_{};
};

}  // namespace netvc::bench
