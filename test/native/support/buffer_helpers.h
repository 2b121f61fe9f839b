// Small words for tests of MIOBuffer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "buffer/mio_buffer.h"

namespace netvc::test {

inline int64_t put(MIOBuffer& m, std::string_view s) {
  return m.write(s.data(), static_cast<int64_t>(s.size()));
}

/// What is unread (within size_limit), without consuming it.
inline std::string peek(IOBufferReader* r, int64_t n = kNoLimit, int64_t offset = 0) {
  const int64_t room = r->read_avail() - offset;
  std::string s(static_cast<size_t>(n < room ? n : room < 0 ? 0 : room), '\0');
  s.resize(static_cast<size_t>(r->memcpy(s.data(), static_cast<int64_t>(s.size()), offset)));
  return s;
}

/// Consumes all that is unread (within size_limit).
inline std::string take(IOBufferReader* r) {
  std::string s = peek(r);
  return r->consume(static_cast<int64_t>(s.size())) ? s : "consume() refused";
}

/// A block of its own that holds s and has `room` more bytes.
inline Ref<IOBufferBlock> block_of(std::string_view s, int room = 0) {
  Ref<IOBufferBlock> b = IOBufferBlock::alloc(-(static_cast<int>(s.size()) + room));
  s.copy(b->end(), s.size());
  b->fill(s.size());
  return b;
}

}  // namespace netvc::test
