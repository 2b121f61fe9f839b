// Memory at rest: a buffer in which nothing is unread gives its blocks back, and what comes later
// is found by every reader.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"
#include "support/pattern.h"

using namespace netvc;
using namespace netvc::test;

namespace {

Ref<MIOBuffer> make(bool shared, int64_t mark = 0) {
  Ref<MIOBuffer> m = MIOBuffer::create(0, mark);
  if (shared) m->set_shared();
  return m;
}

}  // namespace

TEST_CASE("at rest a buffer with readers holds no block") {
  BlockCount count;
  for (bool shared : {false, true}) {
    CAPTURE(shared);
    Ref<MIOBuffer> m = make(shared);
    IOBufferReader* a = m->alloc_reader();
    IOBufferReader* b = m->alloc_reader();
    put(*m, std::string(300, 'x'));
    CHECK_FALSE(m->release_if_drained());
    REQUIRE(a->consume(300));
    REQUIRE(b->consume(299));
    CHECK_FALSE(m->release_if_drained());
    CHECK(take(b) == "x");
    CHECK(m->release_if_drained());
    CHECK(count.data() == 0);
    CHECK(count.blocks() == 0);
    CHECK_FALSE(m->has_writer_block());
    CHECK(m->release_if_drained());  // again: nothing to do
    CHECK(a->read_avail() == 0);
    CHECK(a->start() == nullptr);
    CHECK(a->consume(0));
    CHECK_FALSE(a->consume(1));
  }
}

TEST_CASE("at rest: data that comes later is found by every reader, early, late and cloned") {
  BlockCount count;
  for (bool shared : {false, true}) {
    CAPTURE(shared);
    Ref<MIOBuffer> m = make(shared);
    IOBufferReader* a = m->alloc_reader();
    IOBufferReader* b = m->alloc_reader();
    put(*m, std::string(130, 'x'));
    a->reset();
    b->reset();
    REQUIRE(m->release_if_drained());
    IOBufferReader* late = m->alloc_reader();
    IOBufferReader* clone = m->clone_reader(b);
    CHECK(late->consumed() == 130);
    CHECK(clone->consumed() == 130);
    CHECK(clone->read_avail() == 0);
    const std::string text = pattern(130, 500);
    put(*m, text);
    IOBufferReader* after = m->alloc_reader();
    for (IOBufferReader* r : {a, b, late, clone}) {
      CAPTURE(m->index_of(r));
      CHECK(take(r) == text);
    }
    CHECK(peek(after) == text.substr(500 / 128 * 128));
  }
}

TEST_CASE("at rest: rounds of write, consume, release with readers that lag behind") {
  BlockCount count;
  for (bool shared : {false, true}) {
    CAPTURE(shared);
    Ref<MIOBuffer> m = make(shared);
    IOBufferReader* a = m->alloc_reader();
    IOBufferReader* b = m->alloc_reader();
    uint64_t at = 0;
    for (size_t n : {1u, 128u, 129u, 50u, 1000u, 127u, 256u, 3u}) {
      CAPTURE(n);
      put(*m, pattern(at, n));
      CHECK(take(a) == pattern(at, n));
      CHECK_FALSE(m->release_if_drained());
      put(*m, pattern(at + n, n));
      CHECK(take(b) == pattern(at, 2 * n));
      CHECK_FALSE(m->release_if_drained());
      CHECK(take(a) == pattern(at + n, n));
      at += 2 * n;
      CHECK(m->release_if_drained());
      CHECK(count.blocks() == 0);
    }
  }
}

TEST_CASE("at rest: every way to add begins a new chain") {
  BlockCount count;
  for (bool shared : {false, true}) {
    CAPTURE(shared);
    Ref<MIOBuffer> m = make(shared);
    IOBufferReader* r = m->alloc_reader();
    Ref<MIOBuffer> other = MIOBuffer::create(0);
    IOBufferReader* source = other->alloc_reader();
    put(*other, "by reference");

    REQUIRE(m->release_if_drained());
    CHECK(m->append_block(block_of("a block")));
    CHECK(take(r) == "a block");
    REQUIRE(m->release_if_drained());
    CHECK(m->write(source) == 12);
    CHECK(take(r) == "by reference");
    REQUIRE(m->release_if_drained());
    CHECK(m->write_avail() == 128);
    CHECK(r->read_avail() == 0);
    m->first_write_block()->end()[0] = 'f';
    REQUIRE(m->fill(1));
    CHECK(take(r) == "f");
    REQUIRE(m->release_if_drained());
    CHECK(m->add_block());
    REQUIRE(m->release_if_drained());
    put(*m, "copied");
    CHECK(take(r) == "copied");
    REQUIRE(m->release_if_drained());
    CHECK(m->remove_append(source) == 12);
    CHECK(take(r) == "by reference");
  }
}

TEST_CASE("at rest: empty room is given back, also before the first byte") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0, 1000);
  IOBufferReader* r = m->alloc_reader();
  m->write_avail();
  m->write_avail();
  CHECK(count.blocks() == 3);
  CHECK(m->release_if_drained());
  CHECK(count.blocks() == 0);
  put(*m, "first");
  CHECK(take(r) == "first");
}

TEST_CASE("at rest: a buffer without readers keeps what nobody has read") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  put(*m, "for a later reader");
  CHECK_FALSE(m->release_if_drained());
  IOBufferReader* r = m->alloc_reader();
  CHECK(take(r) == "for a later reader");
  CHECK(m->release_if_drained());
  m->dealloc_reader(r);
  CHECK(m->release_if_drained());
  CHECK(m->add_block());
  CHECK(m->release_if_drained());
}

TEST_CASE("at rest: size_limit 0 is not rest while bytes are unread") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, "hidden");
  r->set_size_limit(0);
  CHECK(m->max_read_avail() == 0);
  CHECK_FALSE(m->release_if_drained());
  r->set_size_limit(kNoLimit);
  CHECK(take(r) == "hidden");
}

TEST_CASE("at rest: a size_limit outlives it and a clone at rest copies it") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  r->set_size_limit(10);
  put(*m, "1234");
  CHECK(take(r) == "1234");
  REQUIRE(m->release_if_drained());
  IOBufferReader* c = m->clone_reader(r);
  put(*m, "567890abc");
  CHECK(take(r) == "567890");
  CHECK(take(c) == "567890");
}

TEST_CASE("at rest: the buffer may die") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  m->alloc_reader();
  REQUIRE(m->release_if_drained());
  m.reset();
}
