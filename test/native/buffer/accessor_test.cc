#include <doctest/doctest.h>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"

using namespace netvc;
using namespace netvc::test;

TEST_CASE("BUF-12 F-012 an accessor names the writer, a reader or nothing") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  MIOBufferAccessor a;
  CHECK_FALSE(a);
  CHECK(a.writer() == nullptr);
  CHECK(a.reader() == nullptr);

  a.writer_for(m);
  CHECK(a);
  CHECK(a.writer() == m.get());
  CHECK(a.reader() == nullptr);

  a.reader_for(r);
  CHECK(a.reader() == r);
  CHECK(a.writer() == m.get());  // in both cases

  a.writer_for(m);
  CHECK(a.reader() == nullptr);

  a.clear();
  CHECK_FALSE(a);
  CHECK(a.writer() == nullptr);
  CHECK(a.reader() == nullptr);
}

TEST_CASE("BUF-12 clearing an accessor frees nothing of the user's") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  put(*m, "mine");
  {
    MIOBufferAccessor a;
    a.reader_for(r);
    a.clear();
    a.writer_for(m);
  }
  CHECK(m->reader_count() == 1);
  CHECK(take(r) == "mine");
}

TEST_CASE("BUF-12 reader_for(null) and writer_for(null) empty it") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  MIOBufferAccessor a;
  a.writer_for(m);
  a.reader_for(nullptr);
  CHECK_FALSE(a);
  a.writer_for(m);
  a.writer_for(nullptr);
  CHECK_FALSE(a);
}

TEST_CASE("BUF-13 B-59 an accessor keeps the memory when the user drops the buffer") {
  BlockCount count;
  MIOBufferAccessor a;
  {
    Ref<MIOBuffer> m = MIOBuffer::create(0);
    IOBufferReader* r = m->alloc_reader();
    put(*m, "pinned");
    a.reader_for(r);
  }
  CHECK(count.blocks() == 1);
  CHECK(take(a.reader()) == "pinned");
  a.clear();
  CHECK(count.blocks() == 0);
}

TEST_CASE("BUF-3 dealloc of the reader empties the accessor that points at it") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  IOBufferReader* other = m->alloc_reader();
  MIOBufferAccessor a, b, w;
  a.reader_for(r);
  b.reader_for(other);
  w.writer_for(m);
  m->dealloc_reader(r);
  CHECK(a.reader() == nullptr);
  CHECK(a.writer() == nullptr);
  CHECK_FALSE(a);
  CHECK(b.reader() == other);
  CHECK(w.writer() == m.get());
  m->dealloc_all_readers();
  CHECK(b.reader() == nullptr);
  CHECK(w.writer() == m.get());
}

TEST_CASE("BUF-3 an emptied accessor does not come to point at the next reader of that place") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  IOBufferReader* r = m->alloc_reader();
  MIOBufferAccessor a;
  a.reader_for(r);
  m->dealloc_reader(r);
  IOBufferReader* next = m->alloc_reader();
  REQUIRE(next == r);
  CHECK(a.reader() == nullptr);
  CHECK_FALSE(a);
  a.reader_for(next);
  CHECK(a.reader() == next);
}
