// What a reader answers without moving.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"
#include "support/death.h"

using namespace netvc;
using namespace netvc::test;

namespace {

// Three full blocks of 128 and 16 bytes in the fourth.
struct Filled {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  std::string text;

  Filled() {
    for (int i = 0; i < 400; ++i)
      text += static_cast<char>('a' + i % 23);
    put(*m, text);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Filled, "BUF-4 F-005 read_avail is the sum of all blocks") {
  CHECK(r->read_avail() == 400);
  REQUIRE(r->consume(130));
  CHECK(r->read_avail() == 270);
}

TEST_CASE_FIXTURE(Filled, "BUF-5 block_read_avail, start and end skip exhausted blocks") {
  CHECK(r->block_read_avail() == 128);
  CHECK(std::string(r->start(), r->end()) == text.substr(0, 128));
  REQUIRE(r->consume(100));
  CHECK(std::string(r->start(), r->end()) == text.substr(100, 28));
  REQUIRE(r->consume(28));
  CHECK(r->block_read_avail() == 128);
  CHECK(std::string(r->start(), r->end()) == text.substr(128, 128));
  REQUIRE(r->consume(256));
  CHECK(std::string(r->start(), r->end()) == text.substr(384));
  REQUIRE(r->consume(16));
  CHECK(r->block_read_avail() == 0);
  CHECK(r->start() == r->end());
  put(*m, "more");  // into the same block
  CHECK(std::string(r->start(), r->end()) == "more");
}

TEST_CASE_FIXTURE(Filled, "F-005 block_count counts the blocks with unread bytes") {
  CHECK(r->block_count() == 4);
  REQUIRE(r->consume(127));
  CHECK(r->block_count() == 4);
  REQUIRE(r->consume(1));
  CHECK(r->block_count() == 3);
  CHECK(m->add_block());  // empty
  CHECK(r->block_count() == 3);
  r->reset();
  CHECK(r->block_count() == 0);
}

TEST_CASE_FIXTURE(Filled, "F-005 is_read_avail_more_than is strict") {
  CHECK(r->is_read_avail_more_than(399));
  CHECK_FALSE(r->is_read_avail_more_than(400));
  CHECK_FALSE(r->is_read_avail_more_than(INT64_MAX));
  CHECK(r->is_read_avail_more_than(-1));
  r->reset();
  CHECK_FALSE(r->is_read_avail_more_than(0));
}

TEST_CASE_FIXTURE(Filled, "F-005 index access reaches every byte across blocks, and no other") {
  REQUIRE(r->consume(3));
  std::string seen;
  for (int64_t i = 0; i < r->read_avail(); ++i)
    seen += (*r)[i];
  CHECK(seen == text.substr(3));
  CHECK(aborts([&] { (void)(*r)[397]; }));
  CHECK(aborts([&] { (void)(*r)[-1]; }));
  CHECK(aborts([&] { (void)(*r)[INT64_MIN]; }));
  CHECK(aborts([&] { (void)(*r)[INT64_MAX]; }));
}

TEST_CASE_FIXTURE(Filled, "BUF-5 memcpy copies from an offset across blocks and consumes nothing") {
  CHECK(peek(r, 300, 0) == text.substr(0, 300));
  CHECK(peek(r, 20, 120) == text.substr(120, 20));
  CHECK(peek(r, 20, 128) == text.substr(128, 20));
  CHECK(peek(r, 1, 399) == text.substr(399));
  REQUIRE(r->consume(50));
  CHECK(peek(r, 200, 60) == text.substr(110, 200));
  CHECK(r->read_avail() == 350);
}

TEST_CASE_FIXTURE(Filled, "BUF-5 memcpy outside of what is unread copies nothing") {
  char to[512];
  CHECK(r->memcpy(to, 512) == 400);
  CHECK(r->memcpy(to, INT64_MAX, 399) == 1);
  for (int64_t offset : {int64_t{400}, INT64_MAX, int64_t{-1}, INT64_MIN}) {
    CAPTURE(offset);
    CHECK(r->memcpy(to, 10, offset) == 0);
  }
  for (int64_t n : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    CAPTURE(n);
    CHECK(r->memcpy(to, n) == 0);
    CHECK(r->memcpy(to, n, 5) == 0);
  }
}

TEST_CASE("BUF-5 memchr finds the first match across blocks, relative to the position") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  std::string text(400, '.');
  for (int at : {5, 127, 128, 300, 399})
    text[static_cast<size_t>(at)] = 'x';
  put(*m, text);
  REQUIRE(r->consume(2));
  CHECK(r->memchr('x', kNoLimit) == 3);
  CHECK(r->memchr('x', kNoLimit, 3) == 3);
  CHECK(r->memchr('x', kNoLimit, 4) == 125);
  CHECK(r->memchr('x', kNoLimit, 126) == 126);
  CHECK(r->memchr('x', kNoLimit, 127) == 298);
  CHECK(r->memchr('x', kNoLimit, 299) == 397);
  CHECK(r->memchr('y', kNoLimit) == -1);
}

TEST_CASE("BUF-5 memchr looks at n bytes from the offset only") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, std::string(200, '.') + "x");
  CHECK(r->memchr('x', 200) == -1);
  CHECK(r->memchr('x', 201) == 200);
  CHECK(r->memchr('x', 5, 195) == -1);
  CHECK(r->memchr('x', 6, 195) == 200);
  CHECK(r->memchr('.', 0) == -1);
  r->set_size_limit(200);
  CHECK(r->memchr('x', kNoLimit) == -1);
  r->set_size_limit(kNoLimit);
  for (int64_t offset : {int64_t{201}, INT64_MAX, int64_t{-1}, INT64_MIN}) {
    CAPTURE(offset);
    CHECK(r->memchr('.', kNoLimit, offset) == -1);
  }
}

TEST_CASE_FIXTURE(Filled, "iovecs: pieces in order, at most max of them, at most limit bytes") {
  iovec iov[8];
  int64_t bytes = -1;
  REQUIRE(r->consume(28));
  CHECK(r->iovecs(iov, 8, kNoLimit, &bytes) == 4);
  CHECK(bytes == 372);
  std::string seen;
  for (int i = 0; i < 4; ++i)
    seen.append(static_cast<char*>(iov[i].iov_base), iov[i].iov_len);
  CHECK(seen == text.substr(28));

  CHECK(r->iovecs(iov, 2, kNoLimit, &bytes) == 2);
  CHECK(bytes == 228);
  CHECK(r->iovecs(iov, 8, 101, &bytes) == 2);
  CHECK(bytes == 101);
  CHECK(iov[1].iov_len == 1);
  CHECK(r->iovecs(iov, 8, 100, &bytes) == 1);
  CHECK(r->read_avail() == 372);
}

TEST_CASE_FIXTURE(Filled, "iovecs: nothing to give") {
  iovec iov[1] = {{nullptr, 77}};
  int64_t bytes = -1;
  CHECK(r->iovecs(iov, 0, kNoLimit, &bytes) == 0);
  CHECK(bytes == 0);
  CHECK(iov[0].iov_len == 77);
  CHECK(r->iovecs(iov, 1, 0, &bytes) == 0);
  CHECK(r->iovecs(iov, 1, -5, &bytes) == 0);
  r->reset();
  CHECK(r->iovecs(iov, 1, kNoLimit, &bytes) == 0);
  CHECK(bytes == 0);
}
