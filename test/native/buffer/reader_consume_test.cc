// How a reader moves.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"

using namespace netvc;
using namespace netvc::test;

TEST_CASE("BUF-4 consume out of range is refused and changes nothing") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, std::string(300, 'x'));
  r->set_size_limit(200);
  for (int64_t n : {int64_t{-1}, int64_t{201}, int64_t{300}, INT64_MAX, INT64_MIN}) {
    CAPTURE(n);
    CHECK_FALSE(r->consume(n));
    CHECK(r->read_avail() == 200);
    CHECK(r->size_limit() == 200);
    CHECK(r->consumed() == 0);
  }
  r->set_size_limit(kNoLimit);
  CHECK_FALSE(r->consume(301));
  CHECK(r->consume(300));
  CHECK_FALSE(r->consume(1));
  CHECK(r->consume(0));
}

TEST_CASE("BUF-4 consume in a buffer without a block") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
  IOBufferReader* r = m->alloc_reader();
  CHECK(r->consume(0));
  CHECK_FALSE(r->consume(1));
  CHECK_FALSE(r->consume(-1));
}

TEST_CASE("BUF-4 consume lands on every boundary of the blocks") {
  BlockCount count;
  for (int64_t step : {1, 127, 128, 129, 256, 257, 999}) {
    CAPTURE(step);
    Ref<MIOBuffer> m = MIOBuffer::create(0);
    IOBufferReader* r = m->alloc_reader();
    std::string text;
    for (int i = 0; i < 999; ++i)
      text += static_cast<char>('A' + i % 47);
    put(*m, text);
    std::string seen;
    while (const int64_t n = std::min(step, r->read_avail())) {
      seen += peek(r, n);
      REQUIRE(r->consume(n));
    }
    CHECK(seen == text);
  }
}

TEST_CASE("BUF-4 size_limit caps what is seen, and consume lowers it") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  CHECK(r->size_limit() == kNoLimit);
  put(*m, "0123456789");
  r->set_size_limit(6);
  CHECK(r->read_avail() == 6);
  CHECK(r->block_read_avail() == 6);
  CHECK(std::string(r->start(), r->end()) == "012345");
  CHECK(peek(r) == "012345");
  REQUIRE(r->consume(4));
  CHECK(r->size_limit() == 2);
  CHECK(take(r) == "45");
  CHECK(r->size_limit() == 0);
  CHECK(r->read_avail() == 0);
  CHECK(r->block_read_avail() == 0);
  CHECK_FALSE(r->consume(1));
  put(*m, "ab");
  CHECK(r->read_avail() == 0);
  r->set_size_limit(kNoLimit);
  CHECK(take(r) == "6789ab");
  CHECK(r->size_limit() == kNoLimit);
}

TEST_CASE("BUF-4 a negative size_limit means nothing may be read") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, "abc");
  char to[8];
  for (int64_t limit : {int64_t{-1}, INT64_MIN}) {
    r->set_size_limit(limit);
    CHECK(r->read_avail() == 0);
    CHECK(r->read(to, 8) == 0);
    CHECK(r->consume(0));
    r->reset();
  }
  r->set_size_limit(kNoLimit);
  CHECK(take(r) == "abc");
}

TEST_CASE("BUF-5 read copies and consumes what there is") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  const std::string text = std::string(130, 'a') + std::string(130, 'b');
  put(*m, text);
  char to[300];
  CHECK(r->read(to, 129) == 129);
  CHECK(std::string(to, 129) == text.substr(0, 129));
  CHECK(r->read(to, 0) == 0);
  CHECK(r->read(to, -1) == 0);
  CHECK(r->read(to, INT64_MIN) == 0);
  CHECK(r->read_avail() == 131);
  CHECK(r->read(to, 300) == 131);
  CHECK(std::string(to, 131) == text.substr(129));
  CHECK(r->read(to, 300) == 0);
}

TEST_CASE("BUF-10 room at the front that consume frees is not used again") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, std::string(100, 'x'));
  REQUIRE(r->consume(100));
  CHECK(m->current_write_avail() == 28);
}

TEST_CASE("BUF-4 several readers move independently") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* a = m->alloc_reader();
  IOBufferReader* b = m->alloc_reader();
  put(*m, std::string(200, '1') + std::string(200, '2'));
  REQUIRE(a->consume(200));
  CHECK(peek(a) == std::string(200, '2'));
  CHECK(b->read_avail() == 400);
  REQUIRE(b->consume(399));
  REQUIRE(a->consume(100));
  CHECK(peek(a) == std::string(100, '2'));
  CHECK(peek(b) == "2");
}
