// The table of BUF-8 and BUF-9.
#include <doctest/doctest.h>

#include <string>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"

using namespace netvc;
using namespace netvc::test;

TEST_CASE("BUF-8 max_read_avail is the largest of all readers, within their limits") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* a = m->alloc_reader();
  IOBufferReader* b = m->alloc_reader();
  CHECK(m->max_read_avail() == 0);
  put(*m, std::string(300, 'x'));
  CHECK(m->max_read_avail() == 300);
  REQUIRE(a->consume(100));
  CHECK(m->max_read_avail() == 300);
  REQUIRE(b->consume(250));
  CHECK(m->max_read_avail() == 200);
  a->set_size_limit(10);
  CHECK(m->max_read_avail() == 50);
  b->set_size_limit(0);
  CHECK(m->max_read_avail() == 10);
  m->dealloc_reader(a);
  CHECK(m->max_read_avail() == 0);
}

TEST_CASE("BUF-8 max_read_avail without a reader: the bytes of the writer block only") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  CHECK(m->max_read_avail() == 0);
  put(*m, std::string(100, 'x'));
  CHECK(m->max_read_avail() == 100);
  put(*m, std::string(100, 'x'));
  CHECK(m->max_read_avail() == 72);
  IOBufferReader* r = m->alloc_reader();
  r->reset();
  m->dealloc_reader(r);
  CHECK(m->max_read_avail() == 72);  // nobody has read them now
}

TEST_CASE("BUF-8 high_water is above the mark, the reader's at or above it") {
  BlockCount count;
  for (int64_t mark : {0, 1, 50, 128, 129, 300}) {
    for (int64_t unread : {0, 1, 49, 50, 51, 128, 129, 130, 299, 300, 301}) {
      CAPTURE(mark);
      CAPTURE(unread);
      Ref<MIOBuffer> m = MIOBuffer::create(0, mark);
      IOBufferReader* r = m->alloc_reader();
      put(*m, std::string(static_cast<size_t>(unread), 'x'));
      CHECK(m->high_water() == (unread > mark));
      CHECK(r->high_water() == (unread >= mark));
      CHECK(m->current_low_water() == (m->current_write_avail() <= mark));
    }
  }
}

TEST_CASE("BUF-8 current_low_water is about the room, at or below the mark") {
  BlockCount count;
  for (int64_t mark : {0, 1, 127, 128, 129, 255, 256}) {
    CAPTURE(mark);
    Ref<MIOBuffer> m = MIOBuffer::create(0, mark);
    CHECK(m->current_low_water() == (128 <= mark));
    CHECK(m->add_block());
    CHECK(m->current_low_water() == (256 <= mark));
    REQUIRE(m->fill(255));
    CHECK(m->current_low_water() == (1 <= mark));
    REQUIRE(m->fill(1));
    CHECK(m->current_low_water());
    CHECK(count.blocks() >= 1);
  }
}

TEST_CASE("BUF-9 current_write_avail, has_room and the queries never add a block") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create_empty(0, 1000);
  for (int i = 0; i < 3; ++i) {
    CHECK(m->current_write_avail() == 0);
    CHECK(m->block_write_avail() == 0);
    CHECK(m->current_low_water());
    CHECK_FALSE(m->high_water());
    CHECK(m->has_room());
  }
  CHECK(count.blocks() == 0);
}

TEST_CASE("BUF-9 water_mark 0: an unread 4 KiB block means full") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(kIndexLarge);
  IOBufferReader* r = m->alloc_reader();
  CHECK(m->write_avail() == 4096);
  CHECK(m->write_avail() == 4096);
  REQUIRE(m->fill(4095));
  CHECK(m->write_avail() == 1);  // room is left: no block although nothing else
  REQUIRE(m->fill(1));
  CHECK(m->write_avail() == 0);
  CHECK_FALSE(m->has_room());
  CHECK(count.blocks() == 1);
  REQUIRE(r->consume(4095));
  CHECK(m->write_avail() == 0);  // one byte unread is enough
  REQUIRE(r->consume(1));
  CHECK(m->has_room());
  CHECK(count.blocks() == 1);
  CHECK(m->write_avail() == 4096);
  CHECK(count.blocks() == 2);  // the exhausted one is the reader's until it goes on
}

TEST_CASE("BUF-9 water_mark 0: nothing unread but room left adds nothing") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, std::string(127, 'x'));
  r->reset();
  CHECK(m->write_avail() == 1);
  CHECK(count.blocks() == 1);
}

TEST_CASE("BUF-9 water_mark W: each call adds one block while unread <= W and room <= W") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0, 300);
  IOBufferReader* r = m->alloc_reader();
  CHECK(m->write_avail() == 256);
  CHECK(m->write_avail() == 384);  // 256 <= 300
  CHECK(m->write_avail() == 384);  // 384 > 300
  CHECK(count.blocks() == 3);
  REQUIRE(m->fill(300));  // unread 300: not above the mark
  CHECK(m->write_avail() == 84 + 128);
  CHECK(m->write_avail() == 84 + 256);
  CHECK(m->write_avail() == 84 + 256);
  REQUIRE(m->fill(1));  // unread 301
  REQUIRE(m->fill(300));
  CHECK(m->current_write_avail() == 39);
  CHECK(m->write_avail() == 39);  // nothing is added once unread > W
  REQUIRE(r->consume(300));
  CHECK(m->write_avail() == 39);  // 301 unread
  REQUIRE(r->consume(1));
  CHECK(m->write_avail() == 39 + 128);
}

TEST_CASE("BUF-9 the slowest reader decides") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0, 10);
  IOBufferReader* fast = m->alloc_reader();
  IOBufferReader* slow = m->alloc_reader();
  put(*m, std::string(128, 'x'));
  fast->reset();
  CHECK(m->write_avail() == 0);
  REQUIRE(slow->consume(118));
  CHECK(m->write_avail() == 128);
}

TEST_CASE("BUF-9 low_water is about the room after write_avail has added") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create_empty(0, 128);
  CHECK(m->low_water());  // 128 <= 128
  CHECK(count.blocks() == 1);
  CHECK_FALSE(m->low_water());
  CHECK(count.blocks() == 2);
}

TEST_CASE("BUF-9 has_room foretells write_avail > 0") {
  BlockCount count;
  for (int64_t mark : {0, 1, 128, 200}) {
    for (int64_t written = 0; written <= 260; ++written) {
      Ref<MIOBuffer> m = MIOBuffer::create_empty(0, mark);
      IOBufferReader* r = m->alloc_reader();
      put(*m, std::string(static_cast<size_t>(written), 'x'));
      REQUIRE(r->consume(written / 2));
      const bool foretold = m->has_room();
      REQUIRE(foretold == (m->write_avail() > 0));
    }
  }
}

TEST_CASE("BUF-9 can_take_more of a shared buffer goes by the counters") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0, 10);
  m->set_shared();
  IOBufferReader* r = m->alloc_reader();
  CHECK(m->can_take_more());
  put(*m, std::string(10, 'x'));
  CHECK(m->can_take_more());
  put(*m, "x");
  CHECK_FALSE(m->can_take_more());
  CHECK(m->has_room());
  REQUIRE(r->consume(1));
  CHECK(m->can_take_more());
}
