// Bytes that are copied in.
#include <doctest/doctest.h>

#include <string>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"
#include "support/pattern.h"

using namespace netvc;
using namespace netvc::test;

TEST_CASE("BUF-6 F-007 write copies everything and adds blocks of the buffer's size") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(1);  // 256
  IOBufferReader* r = m->alloc_reader();
  const std::string text = pattern(0, 1000);
  CHECK(put(*m, text) == 1000);
  CHECK(count.blocks() == 4);
  CHECK(count.bytes() == 4 * 256);
  CHECK(m->current_write_avail() == 24);
  CHECK(m->block_write_avail() == 24);
  CHECK(peek(r) == text);
}

TEST_CASE("BUF-6 write ignores the water mark") {
  BlockCount count;
  for (int64_t mark : {int64_t{0}, int64_t{1}, kNoLimit}) {
    CAPTURE(mark);
    Ref<MIOBuffer> m = MIOBuffer::create(0, mark);
    IOBufferReader* r = m->alloc_reader();
    CHECK(put(*m, std::string(100'000, 'x')) == 100'000);
    CHECK(r->read_avail() == 100'000);
  }
}

TEST_CASE("BUF-6 write of nothing adds nothing") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
  CHECK(m->write("", 0) == 0);
  CHECK(m->write("abc", -1) == 0);
  CHECK(count.blocks() == 0);
  CHECK(m->produced() == 0);
}

TEST_CASE("BUF-6 write fills up the room that is there, in several blocks, before it adds") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  CHECK(m->add_block());
  CHECK(m->add_block());
  CHECK(m->current_write_avail() == 3 * 128);
  const std::string text = pattern(7, 3 * 128);
  put(*m, text.substr(0, 100));
  put(*m, text.substr(100, 200));
  put(*m, text.substr(300));
  CHECK(count.blocks() == 3);
  CHECK(m->current_write_avail() == 0);
  CHECK(peek(r) == text);
}

TEST_CASE("BUF-6 written bytes are copies") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  std::string s = "before";
  put(*m, s);
  s = "after!";
  CHECK(take(r) == "before");
}

TEST_CASE("BUF-6 written bytes do not move: a pointer stays right while the buffer grows") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, "pinned");
  const char* p = r->start();
  put(*m, std::string(10'000, 'x'));
  CHECK(r->start() == p);
  CHECK(std::string(p, 6) == "pinned");
}

TEST_CASE("BUF-6 a buffer with malloc'd blocks grows by blocks of that size") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(-100);
  IOBufferReader* r = m->alloc_reader();
  put(*m, pattern(0, 250));
  CHECK(count.blocks() == 3);
  CHECK(count.bytes() == 300);
  CHECK(take(r) == pattern(0, 250));
}

TEST_CASE("BUF-6 64 MiB in one write") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(kIndexMax);
  IOBufferReader* r = m->alloc_reader();
  const std::string big(64u << 20, 'q');
  CHECK(put(*m, big) == 64 << 20);
  CHECK(r->block_count() == 32);
  CHECK(r->memchr('x', kNoLimit) == -1);
  REQUIRE(r->consume((64 << 20) - 1));
  CHECK(peek(r) == "q");
  CHECK(count.blocks() == 1);
}
