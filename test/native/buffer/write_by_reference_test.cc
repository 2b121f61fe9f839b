// write(reader): bytes that are shared, not copied.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"
#include "support/pattern.h"

using namespace netvc;
using namespace netvc::test;

namespace {

struct Two {
  BlockCount count;
  Ref<MIOBuffer> from = MIOBuffer::create(0);
  IOBufferReader* source = from->alloc_reader();
  Ref<MIOBuffer> to = MIOBuffer::create_empty(kIndexLarge);
  IOBufferReader* target = to->alloc_reader();
  const std::string text = pattern(0, 400);

  Two() { put(*from, text); }
};

}  // namespace

TEST_CASE_FIXTURE(Two, "BUF-6 F-008 each piece becomes one new block that shares the data") {
  const int64_t data = count.data();
  CHECK(to->write(source) == 400);
  CHECK(target->block_count() == 4);
  CHECK(count.data() == data);
  CHECK(peek(target) == text);
  CHECK(target->start() == source->start());
}

TEST_CASE_FIXTURE(Two, "BUF-6 the source is not consumed") {
  to->write(source);
  CHECK(source->read_avail() == 400);
  CHECK(source->consumed() == 0);
  CHECK(take(source) == text);
  CHECK(take(target) == text);
}

TEST_CASE_FIXTURE(Two, "BUF-6 length and offset choose the bytes") {
  struct Case {
    int64_t n, offset, added;
    int blocks;
  };
  for (const Case& c : {Case{400, 0, 400, 4}, Case{kNoLimit, 399, 1, 1}, Case{10, 0, 10, 1},
                        Case{10, 120, 10, 2}, Case{128, 128, 128, 1}, Case{130, 127, 130, 3},
                        Case{1000, 300, 100, 2}, Case{1, 128, 1, 1}}) {
    CAPTURE(c.n);
    CAPTURE(c.offset);
    CHECK(to->write(source, c.n, c.offset) == c.added);
    CHECK(target->block_count() == c.blocks);
    CHECK(take(target) == text.substr(static_cast<size_t>(c.offset), static_cast<size_t>(c.added)));
  }
}

TEST_CASE_FIXTURE(Two, "BUF-6 nothing to add") {
  for (int64_t offset : {int64_t{400}, INT64_MAX, int64_t{-1}, INT64_MIN}) {
    CAPTURE(offset);
    CHECK(to->write(source, kNoLimit, offset) == 0);
    CHECK(to->write(source, 5, offset) == 0);
  }
  for (int64_t n : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    CAPTURE(n);
    CHECK(to->write(source, n) == 0);
    CHECK(to->write(source, n, 10) == 0);
  }
  CHECK_FALSE(to->has_writer_block());
}

TEST_CASE_FIXTURE(Two, "BUF-6 the position and the size_limit of the source count") {
  REQUIRE(source->consume(100));
  source->set_size_limit(50);
  CHECK(to->write(source) == 50);
  CHECK(take(target) == text.substr(100, 50));
  CHECK(source->size_limit() == 50);
  CHECK(to->write(source, kNoLimit, 49) == 1);
  CHECK(take(target) == text.substr(149, 1));
}

TEST_CASE_FIXTURE(Two, "F-002 the source may go on and die, the shared bytes stay") {
  to->write(source);
  put(*from, "appended later");  // into the block whose data is shared
  from->dealloc_all_readers();
  from.reset();
  CHECK(take(target) == text);
}

TEST_CASE_FIXTURE(Two, "F-002 only the source's block goes on appending to the shared memory") {
  to->write(source);
  CHECK(to->current_write_avail() == 0);
  put(*to, "new block");
  CHECK(to->current_write_avail() == 4096 - 9);
  put(*from, "old block");
  CHECK(take(target) == text + "new block");
  CHECK(take(source) == text + "old block");
}

TEST_CASE_FIXTURE(Two, "BUF-6 references to references") {
  to->write(source, 200, 100);
  Ref<MIOBuffer> third = MIOBuffer::create_empty(0);
  IOBufferReader* last = third->alloc_reader();
  third->write(target, 100, 50);
  third->write(target, 1, 0);
  from.reset();
  to.reset();
  CHECK(take(last) == text.substr(150, 100) + text.substr(100, 1));
}

TEST_CASE_FIXTURE(Two, "BUF-6 a buffer's own reader: what was unread is there twice") {
  REQUIRE(source->consume(50));
  CHECK(from->write(source) == 350);
  CHECK(peek(source) == text.substr(50) + text.substr(50));
  CHECK(from->write(source, 3, 348) == 3);
  CHECK(take(source) == text.substr(50) + text.substr(50) + text.substr(398, 2) + text[50]);
  put(*from, "end");
  CHECK(take(source) == "end");
}

TEST_CASE_FIXTURE(Two, "BUF-6 room behind the writer block is given up by an addition") {
  put(*to, "head ");
  CHECK(to->add_block());
  to->write(source, 4);
  CHECK(to->current_write_avail() == 0);
  put(*to, " tail");
  CHECK(take(target) == "head " + text.substr(0, 4) + " tail");
}

TEST_CASE_FIXTURE(Two, "BUF-6 writing by reference ignores the water mark") {
  to->water_mark = 10;
  CHECK(to->write(source) == 400);
  CHECK(to->write(source) == 400);
  CHECK(to->high_water());
}
