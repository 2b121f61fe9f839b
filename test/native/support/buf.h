// A buffer with one reader, as most tests need it.
#pragma once

#include <string>
#include <string_view>

#include "support/buffer_helpers.h"

namespace netvc::test {

struct Buf {
  explicit Buf(int size_index = kIndexLarge, int64_t water_mark = 0)
      : m(MIOBuffer::create_empty(size_index, water_mark)), r(m->alloc_reader()) {}
  explicit Buf(std::string_view text) : Buf() { put(text); }

  void put(std::string_view s) { test::put(*m, s); }
  std::string take() { return test::take(r); }
  std::string peek() { return test::peek(r); }
  int64_t avail() const { return r->read_avail(); }

  Ref<MIOBuffer> m;
  IOBufferReader* r;
};

}  // namespace netvc::test
