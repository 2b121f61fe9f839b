// Life of a buffer and of its readers.
#include <doctest/doctest.h>

#include <string>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"

using namespace netvc;
using namespace netvc::test;

TEST_CASE("BUF-1 F-003 create gives one empty block at once, of the chosen size") {
  BlockCount count;
  for (int index : {0, kIndexSmall, kIndexLarge, kIndex32K}) {
    CAPTURE(index);
    Ref<MIOBuffer> m = MIOBuffer::create(index);
    CHECK(m->size_index() == index);
    CHECK(m->has_writer_block());
    CHECK(m->current_write_avail() == static_cast<int64_t>(index_to_size(index)));
    CHECK(m->first_write_block()->read_avail() == 0);
    CHECK(count.blocks() == 1);
    CHECK(m->water_mark == 0);
  }
  Ref<MIOBuffer> odd = MIOBuffer::create(-777, 5);
  CHECK(odd->current_write_avail() == 777);
  CHECK(odd->water_mark == 5);
}

TEST_CASE("BUF-1 F-003 create_empty has no block until something is added") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create_empty(3, 9);
  CHECK(count.blocks() == 0);
  CHECK_FALSE(m->has_writer_block());
  CHECK(m->first_write_block() == nullptr);
  CHECK(m->current_write_avail() == 0);
  CHECK(m->block_write_avail() == 0);
  CHECK(m->max_read_avail() == 0);
  CHECK(m->water_mark == 9);
  IOBufferReader* r = m->alloc_reader();
  CHECK(r->read_avail() == 0);
  CHECK(r->start() == nullptr);
  CHECK(put(*m, "") == 0);
  CHECK(count.blocks() == 0);
  CHECK(put(*m, "x") == 1);
  CHECK(count.blocks() == 1);
  CHECK(m->current_write_avail() == 1024 - 1);
  CHECK(take(r) == "x");
}

TEST_CASE("BUF-2 a reader of a fresh buffer starts at byte 0") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  CHECK(r->mbuf() == m.get());
  CHECK(r->consumed() == 0);
  put(*m, "from the start");
  CHECK(take(r) == "from the start");
  CHECK(r->consumed() == 14);
  CHECK(m->produced() == 14);
}

TEST_CASE("BUF-2 a later reader starts at the beginning of the current writer block") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* first = m->alloc_reader();
  put(*m, std::string(100, 'a'));
  IOBufferReader* second = m->alloc_reader();
  CHECK(second->read_avail() == 100);
  put(*m, std::string(100, 'b'));  // 28 into the first block, 72 into the next
  IOBufferReader* third = m->alloc_reader();
  CHECK(peek(third) == std::string(72, 'b'));
  CHECK(third->consumed() == 128);
  put(*m, "c");
  CHECK(peek(first) == std::string(100, 'a') + std::string(100, 'b') + "c");
  CHECK(peek(second) == peek(first));
  CHECK(peek(third) == std::string(72, 'b') + "c");
}

TEST_CASE("BUF-2 the sixth reader is refused, a freed place is given again") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r[MIOBuffer::kMaxReaders];
  for (int i = 0; i < MIOBuffer::kMaxReaders; ++i) {
    r[i] = m->alloc_reader();
    REQUIRE(r[i] != nullptr);
    CHECK(m->index_of(r[i]) == i);
    CHECK(m->reader_at(i) == r[i]);
    CHECK(m->reader_count() == i + 1);
  }
  CHECK(MIOBuffer::kMaxReaders == 5);
  CHECK(m->alloc_reader() == nullptr);
  CHECK(m->clone_reader(r[0]) == nullptr);
  put(*m, "abc");
  m->dealloc_reader(r[2]);
  CHECK(m->reader_count() == 4);
  CHECK_FALSE(MIOBuffer::is_active(*r[2]));
  IOBufferReader* again = m->clone_reader(r[4]);
  CHECK(again == r[2]);
  CHECK(take(again) == "abc");
  m->dealloc_all_readers();
  CHECK(m->reader_count() == 0);
  CHECK(m->alloc_reader() != nullptr);
}

TEST_CASE("BUF-3 a clone starts at the same byte with the same size_limit, then goes its own way") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  const std::string text = std::string(120, 'a') + std::string(120, 'b');
  put(*m, text);
  REQUIRE(r->consume(123));
  r->set_size_limit(50);
  IOBufferReader* c = m->clone_reader(r);
  CHECK(c->size_limit() == 50);
  CHECK(c->consumed() == 123);
  CHECK(peek(c) == text.substr(123, 50));
  REQUIRE(c->consume(10));
  CHECK(c->size_limit() == 40);
  CHECK(r->size_limit() == 50);
  CHECK(peek(r) == text.substr(123, 50));
  m->dealloc_reader(r);
  c->set_size_limit(kNoLimit);
  CHECK(take(c) == text.substr(133));
}

TEST_CASE("BUF-3 a reader in a used place starts without the limit and position of the last one") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, "0123456789");
  REQUIRE(r->consume(4));
  r->set_size_limit(1);
  m->dealloc_reader(r);
  IOBufferReader* again = m->alloc_reader();
  CHECK(again == r);
  CHECK(again->size_limit() == kNoLimit);
  CHECK(peek(again) == "0123456789");
  m->dealloc_reader(again);
  m->dealloc_reader(again);  // harmless
  CHECK(m->reader_count() == 0);
}

TEST_CASE("BUF-10 the slowest reader keeps the blocks, and its dealloc releases them") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* fast = m->alloc_reader();
  IOBufferReader* slow = m->alloc_reader();
  put(*m, std::string(10 * 128, 'x'));
  CHECK(count.data() == 10);
  REQUIRE(fast->consume(9 * 128 + 1));
  CHECK(count.data() == 10);
  REQUIRE(slow->consume(3 * 128));
  CHECK(count.data() == 7);
  m->dealloc_reader(slow);
  CHECK(count.data() == 1);
}

TEST_CASE("BUF-10 blocks are released as the last reader leaves them, without help of the writer") {
  BlockCount count;
  for (bool fresh : {true, false}) {
    CAPTURE(fresh);
    Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
    IOBufferReader* r = m->alloc_reader();
    if (!fresh) {  // a chain that is begun anew behaves as the first one
      put(*m, "x");
      REQUIRE(r->consume(1));
      REQUIRE(m->release_if_drained());
    }
    put(*m, std::string(10 * 128, 'x'));
    for (int left = 10; left > 1; --left) {
      CHECK(count.data() == left);
      REQUIRE(r->consume(128));
    }
    CHECK(count.data() == 1);
  }
}

TEST_CASE("BUF-10 without readers only the writer's block stays") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  put(*m, std::string(1000, 'x'));
  CHECK(count.blocks() == 1);
  CHECK(m->produced() == 1000);
  IOBufferReader* r = m->alloc_reader();
  CHECK(r->read_avail() == 1000 % 128);
  CHECK(r->consumed() == 1000 - 1000 % 128);
}

TEST_CASE("F-004 reset forgets everything unread") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, std::string(1000, 'x'));
  r->reset();
  CHECK(r->read_avail() == 0);
  CHECK(r->consumed() == 1000);
  put(*m, "after");
  CHECK(take(r) == "after");
  r->reset();
  CHECK(r->read_avail() == 0);
}

TEST_CASE("BUF-13 a buffer lives as long as the last Ref, with its readers and bytes") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  Ref<MIOBuffer> pinned = m;
  IOBufferReader* r = m->alloc_reader();
  put(*m, "still here");
  m.reset();
  CHECK(take(r) == "still here");
  CHECK(count.blocks() == 1);
}
