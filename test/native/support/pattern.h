// A byte stream in which each byte depends on its position in the whole stream: a byte that is
// lost, repeated, swapped or taken from freed memory is seen (INV-4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace netvc::test {

inline char pattern_at(uint64_t position) {
  // The upper bits enter too: a shift by the size of a block changes the bytes.
  const uint64_t mixed = position ^ (position >> 7) * 31 ^ (position >> 16) * 7;
  return static_cast<char>(mixed * 167 >> 3);
}

inline void fill_pattern(void* to, uint64_t position, size_t n) {
  for (size_t i = 0; i < n; ++i)
    static_cast<char*>(to)[i] = pattern_at(position + i);
}

inline std::string pattern(uint64_t position, size_t n) {
  std::string s(n, '\0');
  fill_pattern(s.data(), position, n);
  return s;
}

/// How many bytes from the start are right; n when all are.
inline size_t matching_pattern(const void* bytes, uint64_t position, size_t n) {
  size_t i = 0;
  while (i < n && static_cast<const char*>(bytes)[i] == pattern_at(position + i))
    ++i;
  return i;
}

}  // namespace netvc::test
