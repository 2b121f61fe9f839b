// support/numbered.h - for tests.
//
// Messages that carry who sent them and which one of theirs they are, and WireLog, which takes a
// byte stream of them apart: every message whole, each producer's numbers rising. A last message
// that was cut off has not arrived.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "support/pattern.h"

namespace netvc::test {

struct Stamp {
  uint32_t length, producer, number;
};

/// At least sizeof(Stamp) bytes.
inline std::string numbered_message(uint32_t producer, uint32_t number, size_t length) {
  length = std::max(length, sizeof(Stamp));
  std::string s(length, '\0');
  const Stamp stamp{static_cast<uint32_t>(length), producer, number};
  std::memcpy(s.data(), &stamp, sizeof stamp);
  fill_pattern(s.data() + sizeof stamp, number, length - sizeof stamp);
  return s;
}

class WireLog {
 public:
  WireLog(size_t producers, size_t each) : arrived_(producers, std::vector<bool>(each)) {}

  void feed(const std::string& bytes) {
    rest_ += bytes;
    size_t at = 0;
    Stamp s;
    while (wrong == 0 && rest_.size() - at >= sizeof s) {
      std::memcpy(&s, rest_.data() + at, sizeof s);
      if (s.length < sizeof s || s.producer >= arrived_.size() ||
          s.number >= arrived_[s.producer].size()) {
        ++wrong;
        break;
      }
      if (rest_.size() - at < s.length) break;
      const size_t n = s.length - sizeof s;
      if (matching_pattern(rest_.data() + at + sizeof s, s.number, n) != n) ++wrong;
      arrive(s);
      at += s.length;
    }
    rest_.erase(0, at);
  }
  bool arrived(size_t producer, size_t number) const { return arrived_[producer][number]; }

  int64_t count = 0;
  int64_t wrong = 0;  // torn, twice, or out of its producer's order

 private:
  void arrive(const Stamp& s) {
    ++count;
    std::vector<bool>& of = arrived_[s.producer];
    if (last_.empty()) last_.assign(arrived_.size(), -1);
    if (of[s.number] || static_cast<int64_t>(s.number) <= last_[s.producer]) ++wrong;
    last_[s.producer] = s.number;
    of[s.number] = true;
  }

  std::string rest_;
  std::vector<std::vector<bool>> arrived_;
  std::vector<int64_t> last_;
};

}  // namespace netvc::test
