// Whole blocks, foreign memory, and chains of other buffers.
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"
#include "support/pattern.h"

using namespace netvc;
using namespace netvc::test;

TEST_CASE("BUF-11 F-010 append_block takes a block with readable bytes, and only that") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
  IOBufferReader* r = m->alloc_reader();
  CHECK_FALSE(m->append_block(IOBufferBlock::alloc(0)));
  CHECK_FALSE(
      m->append_block(IOBufferBlock::make(IOBufferData::constant("", 0, nullptr, nullptr))));
  CHECK_FALSE(m->has_writer_block());
  CHECK(m->append_block(block_of("a")));
  CHECK(m->append_block(block_of("bc")));
  CHECK(r->read_avail() == 3);
  CHECK(r->block_count() == 2);
  CHECK(take(r) == "abc");
}

TEST_CASE("BUF-11 the room of an appended block is used, the room before it is not") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, "one ");
  CHECK(m->add_block());
  CHECK(m->current_write_avail() == 252);
  CHECK(m->append_block(block_of("two ", 10)));
  CHECK(m->current_write_avail() == 10);
  CHECK(count.blocks() == 2);  // the empty block that hung there is gone
  put(*m, "three");
  CHECK(count.blocks() == 2);
  CHECK(take(r) == "one two three");
}

TEST_CASE("BUF-11 append_block behind an empty first block") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* before = m->alloc_reader();
  CHECK(m->append_block(block_of("abc")));
  IOBufferReader* after = m->alloc_reader();
  CHECK(peek(before) == "abc");
  CHECK(peek(after) == "abc");
  CHECK(before->block_count() == 1);
  CHECK(before->start() == after->start());
}

TEST_CASE("BUF-11 append_block refuses a block that drags a chain along") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
  IOBufferReader* r = m->alloc_reader();
  Ref<IOBufferBlock> head = block_of("head");
  head->set_next(block_of("uncounted"));
  CHECK_FALSE(m->append_block(std::move(head)));
  CHECK(r->read_avail() == 0);
}

TEST_CASE("BUF-13 F-010 foreign memory stays lent until the last block over it is gone") {
  BlockCount count;
  static const std::string kForeign = pattern(0, 1000);
  int released = 0;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, "<");
  CHECK(m->append_block(IOBufferBlock::make(IOBufferData::constant(
      kForeign.data(), kForeign.size(), [](void* p) { ++*static_cast<int*>(p); }, &released))));
  CHECK(m->current_write_avail() == 0);
  put(*m, ">");
  CHECK(peek(r) == "<" + kForeign + ">");

  Ref<MIOBuffer> other = MIOBuffer::create_empty(0);
  IOBufferReader* sharing = other->alloc_reader();
  CHECK(other->write(r, 10, 500) == 10);

  REQUIRE(r->consume(1001));  // the reader has left the foreign block
  CHECK(released == 0);
  m.reset();
  CHECK(released == 0);
  CHECK(take(sharing) == kForeign.substr(499, 10));
  CHECK(other->release_if_drained());
  CHECK(released == 1);
}

TEST_CASE("BUF-13 foreign memory is released as soon as it is consumed and more follows") {
  BlockCount count;
  int released = 0;
  Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
  IOBufferReader* r = m->alloc_reader();
  for (int i = 0; i < 10; ++i) {
    REQUIRE(m->append_block(IOBufferBlock::make(IOBufferData::constant(
        "0123456789", 10, [](void* p) { ++*static_cast<int*>(p); }, &released))));
  }
  for (int i = 1; i < 10; ++i) {
    REQUIRE(r->consume(10));
    CHECK(released == i);
  }
}

TEST_CASE("BUF-11 remove_append moves what is unread and leaves the source without writer") {
  BlockCount count;
  Ref<MIOBuffer> from = MIOBuffer::create(0);
  IOBufferReader* source = from->alloc_reader();
  const std::string text = pattern(0, 400);
  put(*from, text);
  REQUIRE(source->consume(150));
  Ref<MIOBuffer> to = MIOBuffer::create(0);
  IOBufferReader* target = to->alloc_reader();
  put(*to, "first ");
  const int64_t bytes = count.bytes();
  CHECK(to->remove_append(source) == 250);
  CHECK(count.bytes() <= bytes);
  CHECK(source->read_avail() == 0);
  CHECK_FALSE(from->has_writer_block());
  CHECK(from->current_write_avail() == 0);
  CHECK(take(target) == "first " + text.substr(150));
  CHECK(to->remove_append(source) == 0);
  CHECK(to->release_if_drained());
  CHECK(count.blocks() == 0);  // the source holds none either
}

TEST_CASE("BUF-11 after remove_append the source is usable again") {
  BlockCount count;
  Ref<MIOBuffer> from = MIOBuffer::create(0);
  IOBufferReader* source = from->alloc_reader();
  Ref<MIOBuffer> to = MIOBuffer::create_empty(0);
  IOBufferReader* target = to->alloc_reader();
  for (int i = 0; i < 5; ++i) {
    CAPTURE(i);
    const std::string text = pattern(static_cast<uint64_t>(i) * 999, 300);
    put(*from, text);
    CHECK(to->remove_append(source) == 300);
    CHECK(take(target) == text);
  }
}

TEST_CASE("BUF-11 remove_append of a limited reader leaves the rest to it") {
  BlockCount count;
  Ref<MIOBuffer> from = MIOBuffer::create(0);
  IOBufferReader* source = from->alloc_reader();
  put(*from, std::string(200, 'a') + "rest");
  source->set_size_limit(200);
  Ref<MIOBuffer> to = MIOBuffer::create_empty(0);
  IOBufferReader* target = to->alloc_reader();
  CHECK(to->remove_append(source) == 200);
  CHECK(take(target) == std::string(200, 'a'));
  source->set_size_limit(kNoLimit);
  put(*from, " and more");
  CHECK(take(source) == "rest and more");
}

TEST_CASE("BUF-11 remove_append takes nothing from the other readers of the source") {
  BlockCount count;
  for (bool touched : {false, true}) {
    CAPTURE(touched);
    Ref<MIOBuffer> from = MIOBuffer::create_empty(0);
    IOBufferReader* source = from->alloc_reader();
    IOBufferReader* other = from->alloc_reader();
    Ref<MIOBuffer> to = MIOBuffer::create_empty(0);
    IOBufferReader* target = to->alloc_reader();
    std::string all;
    for (int round = 0; round < 3; ++round) {
      const std::string text = pattern(static_cast<uint64_t>(round) * 1000, 300);
      put(*from, text);
      all += text;
      if (touched) CHECK(other->block_read_avail() > 0);
      CHECK(to->remove_append(source) == 300);
      CHECK(take(target) == text);
      CHECK(peek(other) == all);
    }
    put(*from, "tail");
    CHECK(take(source) == "tail");
    CHECK(take(other) == all + "tail");
  }
}
