// Bytes that somebody else (readv) puts into the room.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"
#include "support/pattern.h"

using namespace netvc;
using namespace netvc::test;

namespace {

// As readv does it: n bytes into the pieces, in order.
void scatter(const iovec* iov, int count, const std::string& s) {
  size_t at = 0;
  for (int i = 0; i < count && at < s.size(); ++i) {
    const size_t n = std::min(iov[i].iov_len, s.size() - at);
    std::memcpy(iov[i].iov_base, s.data() + at, n);
    at += n;
  }
  REQUIRE(at == s.size());
}

int64_t sum(const iovec* iov, int count) {
  int64_t n = 0;
  for (int i = 0; i < count; ++i)
    n += static_cast<int64_t>(iov[i].iov_len);
  return n;
}

}  // namespace

TEST_CASE("BUF-7 F-009 fill publishes what was put into the room") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  std::memcpy(m->first_write_block()->end(), "direct", 6);
  CHECK(r->read_avail() == 0);
  CHECK(m->fill(6));
  CHECK(m->produced() == 6);
  CHECK(m->current_write_avail() == 122);
  CHECK(take(r) == "direct");
}

TEST_CASE("BUF-7 fill goes over several blocks") {
  BlockCount count;
  for (int64_t n : {1, 127, 128, 129, 256, 300, 384}) {
    CAPTURE(n);
    Ref<MIOBuffer> m = MIOBuffer::create(0);
    IOBufferReader* r = m->alloc_reader();
    CHECK(m->add_block());
    CHECK(m->add_block());
    const std::string text = pattern(11, static_cast<size_t>(n));
    iovec iov[4];
    const int pieces = m->room_iovecs(iov, 4, kNoLimit);
    CHECK(pieces == 3);
    scatter(iov, pieces, text);
    CHECK(m->fill(n));
    CHECK(r->read_avail() == n);
    CHECK(m->current_write_avail() == 384 - n);
    CHECK(take(r) == text);
    put(*m, "next");
    CHECK(take(r) == "next");
  }
}

TEST_CASE("BUF-7 more than the room is refused and changes nothing") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  CHECK(m->add_block());
  put(*m, "abc");
  for (int64_t n : {int64_t{254}, INT64_MAX, int64_t{-1}, INT64_MIN}) {
    CAPTURE(n);
    CHECK_FALSE(m->fill(n));
    CHECK(m->current_write_avail() == 253);
    CHECK(r->read_avail() == 3);
  }
  CHECK(m->fill(0));
  CHECK(r->read_avail() == 3);
  CHECK(m->fill(253));
  CHECK_FALSE(m->fill(1));
}

TEST_CASE("BUF-7 fill without a block") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
  CHECK(m->fill(0));
  CHECK_FALSE(m->fill(1));
}

TEST_CASE("F-009 room of the first block and of the chain") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  CHECK(m->add_block());
  CHECK(m->block_write_avail() == 128);
  CHECK(m->current_write_avail() == 256);
  IOBufferBlock* first = m->first_write_block();
  REQUIRE(m->fill(128));
  CHECK(m->first_write_block() == first);
  CHECK(m->block_write_avail() == 0);
  CHECK(m->current_write_avail() == 128);
  REQUIRE(m->fill(1));
  CHECK(m->first_write_block() != first);
  CHECK(m->block_write_avail() == 127);
}

TEST_CASE("room_iovecs: never more than limit, never more than max pieces, no empty piece") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  CHECK(m->add_block());
  CHECK(m->add_block());
  REQUIRE(m->fill(128));  // the first block is full and gives no piece
  iovec iov[4];
  for (int64_t limit = 1; limit <= 300; ++limit) {
    CAPTURE(limit);
    const int pieces = m->room_iovecs(iov, 4, limit);
    REQUIRE(sum(iov, pieces) == std::min<int64_t>(limit, 256));
    REQUIRE(pieces == (limit > 128 ? 2 : 1));
    for (int i = 0; i < pieces; ++i)
      REQUIRE(iov[i].iov_len > 0);
  }
  CHECK(m->room_iovecs(iov, 1, kNoLimit) == 1);
  CHECK(iov[0].iov_len == 128);
  CHECK(m->room_iovecs(iov, 4, 0) == 0);
  CHECK(m->room_iovecs(iov, 4, -1) == 0);
  CHECK(m->room_iovecs(iov, 0, 100) == 0);
}

TEST_CASE("room_iovecs: skip leaves out what an earlier call has filled") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  CHECK(m->add_block());
  CHECK(m->add_block());
  put(*m, "x");
  const std::string text = pattern(3, 383);
  iovec iov[4];
  for (int64_t skip = 0; skip < 383; skip += 7) {
    const int64_t n = std::min<int64_t>(7, 383 - skip);
    const int pieces = m->room_iovecs(iov, 4, n, skip);
    REQUIRE(sum(iov, pieces) == n);
    scatter(iov, pieces, text.substr(static_cast<size_t>(skip), static_cast<size_t>(n)));
  }
  CHECK(m->room_iovecs(iov, 4, 100, 383) == 0);
  CHECK(m->room_iovecs(iov, 4, 100, INT64_MAX) == 0);
  REQUIRE(m->fill(383));
  CHECK(take(r) == "x" + text);
}
