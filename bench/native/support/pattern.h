// support/pattern.h - the bytes every measurement sends and checks.
//
// The stream of a connection is one fixed pseudo-random table, read cyclically
// from a phase that belongs to that connection. The period is a prime near
// 64 KiB, so it shares no factor with message or buffer sizes: a lost, doubled,
// reordered or foreign piece of a stream lands at another position of the table
// and differs. Nothing is copied to build a message, `At` points into the table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace netvc::bench {

class Pattern {
 public:
  static constexpr size_t kPeriod = 65521;
  static constexpr size_t kMaxRun = 64 * 1024;  // longest piece `At` serves without wrapping

  Pattern() : table_(kPeriod + kMaxRun) {
    uint64_t state = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < kPeriod; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      table_[i] = static_cast<uint8_t>(state >> 56);
    }
    for (size_t i = kPeriod; i < table_.size(); ++i)
      table_[i] = table_[i - kPeriod];
  }

  // A different start for each of the first kPeriod connections.
  static uint32_t PhaseOf(uint64_t index) {
    return static_cast<uint32_t>((index * 40503 + 17) % kPeriod);
  }

  // The bytes of a stream from `position` on; at least kMaxRun of them are valid.
  const uint8_t* At(uint32_t phase, uint64_t position) const {
    return table_.data() + (phase + position) % kPeriod;
  }

  // The offset of the first byte that differs, or `length` if all are right.
  size_t FirstDifference(uint32_t phase, uint64_t position, const uint8_t* data,
                         size_t length) const {
    for (size_t done = 0; done < length;) {
      const size_t run = length - done < kMaxRun ? length - done : kMaxRun;
      const uint8_t* expected = At(phase, position + done);
      if (std::memcmp(expected, data + done, run) != 0) {
        while (expected[0] == data[done])
          ++expected, ++done;
        return done;
      }
      done += run;
    }
    return length;
  }

 private:
  std::vector<uint8_t> table_;
};

}  // namespace netvc::bench
