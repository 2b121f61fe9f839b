#include "buffer/block.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <utility>

#include "support/counting.h"
#include "support/death.h"

using namespace netvc;
using test::BlockCount;

namespace {

struct Lent {
  std::string bytes = "somebody else's memory";
  int released = 0;

  static void release(void* context) { ++static_cast<Lent*>(context)->released; }
  Ref<IOBufferData> data() {
    return IOBufferData::constant(bytes.data(), bytes.size(), &Lent::release, this);
  }
};

std::string readable(const IOBufferBlock& b) { return std::string(b.start(), b.read_avail()); }

void put(IOBufferBlock& b, const std::string& s) {
  std::memcpy(b.end(), s.data(), s.size());
  b.fill(s.size());
}

}  // namespace

TEST_CASE("BUF-1 F-001 size index i is 128 << i bytes, 128 B to 2 MiB") {
  BlockCount count;
  size_t expected = 128;
  for (int i = 0; i < kBlockIndexes; ++i, expected *= 2) {
    CAPTURE(i);
    Ref<IOBufferData> d = IOBufferData::alloc(i);
    CHECK(d->size() == expected);
    CHECK(d->size_index() == i);
    CHECK_FALSE(d->is_constant());
    CHECK(count.bytes() == static_cast<int64_t>(expected));
    std::memset(d->data(), 0x5a, d->size());  // all of it is ours (ASan, and no overlap)
  }
  CHECK(index_to_size(kIndexMax) == 2u << 20);
  CHECK(index_to_size(kIndexLarge) == 4096);
  CHECK(index_to_size(kIndexSmall) == 512);
  CHECK(index_to_size(kIndex32K) == 32u << 10);
  CHECK(index_to_size(kIndex64K) == 64u << 10);
}

TEST_CASE("F-001 size_to_index is the smallest block that holds n bytes") {
  CHECK(size_to_index(0) == 0);
  CHECK(size_to_index(1) == 0);
  for (int i = 0; i < kIndexMax; ++i) {
    CAPTURE(i);
    CHECK(size_to_index(index_to_size(i)) == i);
    CHECK(size_to_index(index_to_size(i) + 1) == i + 1);
  }
  CHECK(size_to_index(size_t{1} << 30) == kIndexMax);
}

TEST_CASE("F-001 a negative index is that many bytes from malloc") {
  BlockCount count;
  for (int n : {1, 100, 4097, 5 << 20}) {
    CAPTURE(n);
    Ref<IOBufferBlock> b = IOBufferBlock::alloc(-n);
    CHECK(b->write_avail() == static_cast<size_t>(n));
    CHECK(b->read_avail() == 0);
    CHECK(b->data()->size_index() == -n);
    CHECK(count.bytes() == n);
    std::memset(b->end(), 1, static_cast<size_t>(n));
  }
}

TEST_CASE("F-001 an index above 14 is refused") {
  CHECK(test::aborts([] { (void)IOBufferData::alloc(kBlockIndexes); }));
  CHECK_FALSE(test::aborts([] { (void)IOBufferData::alloc(kIndexMax); }));
}

TEST_CASE("BUF-13 constant memory is readable at once, has no room, and is released once") {
  BlockCount count;
  Lent lent;
  {
    Ref<IOBufferBlock> b = IOBufferBlock::make(lent.data());
    CHECK(b->data()->is_constant());
    CHECK(readable(*b) == lent.bytes);
    CHECK(b->start() == lent.bytes.data());
    CHECK(b->write_avail() == 0);
    CHECK(count.data() == 1);
    CHECK(count.bytes() == 0);  // not our memory
    CHECK(lent.released == 0);
  }
  CHECK(lent.released == 1);
}

TEST_CASE("BUF-13 lent memory is released with the last block that shares it, once") {
  BlockCount count;
  Lent lent;
  Ref<IOBufferBlock> b = IOBufferBlock::make(lent.data());
  Ref<IOBufferBlock> first = b->clone(0, 5);
  Ref<IOBufferBlock> second = b->clone(9, 4);
  b.reset();
  CHECK(lent.released == 0);
  first.reset();
  CHECK(lent.released == 0);
  CHECK(readable(*second) == "else");
  second.reset();
  CHECK(lent.released == 1);
}

TEST_CASE("BUF-13 constant memory without a release function is immortal") {
  BlockCount count;
  static const char kText[] = "static";
  Ref<IOBufferBlock> b = IOBufferBlock::make(IOBufferData::constant(kText, 6, nullptr, nullptr));
  CHECK(readable(*b) == "static");
}

TEST_CASE("BUF-13 a used shell does not remember the release function of its last life") {
  BlockCount count;
  Lent lent;
  for (int i = 0; i < 200; ++i)
    IOBufferBlock::make(lent.data());
  CHECK(lent.released == 200);
  // The shells go round between lent and malloc'd memory.
  for (int i = 0; i < 200; ++i)
    IOBufferBlock::alloc(-64);
  for (int i = 0; i < 200; ++i)
    IOBufferData::constant("x", 1, nullptr, nullptr);
  CHECK(lent.released == 200);
}

TEST_CASE("F-002 a clone shares the data and has no room, the original goes on appending") {
  BlockCount count;
  Ref<IOBufferBlock> b = IOBufferBlock::alloc(0);
  put(*b, "abcdef");
  Ref<IOBufferBlock> c = b->clone(1, 3);
  CHECK(readable(*c) == "bcd");
  CHECK(c->write_avail() == 0);
  CHECK(c->data() == b->data());
  CHECK(b->data()->ref_count() == 2);
  CHECK(count.data() == 1);
  CHECK(count.blocks() == 2);

  put(*b, "ghi");
  CHECK(readable(*b) == "abcdefghi");
  CHECK(readable(*c) == "bcd");
  CHECK(b->write_avail() == 128 - 9);

  Ref<IOBufferBlock> of_clone = c->clone(2, 1);
  CHECK(readable(*of_clone) == "d");
  b.reset();
  c.reset();
  CHECK(readable(*of_clone) == "d");
  CHECK(count.data() == 1);
}

TEST_CASE("F-002 a clone beyond the readable bytes is refused") {
  Ref<IOBufferBlock> b = IOBufferBlock::alloc(0);
  put(*b, "abc");
  CHECK(test::aborts([&] { (void)b->clone(1, 3); }));
  CHECK_FALSE(test::aborts([&] { (void)b->clone(1, 2); }));
  CHECK(test::aborts([&] { (void)b->clone(SIZE_MAX, 1); }));
  CHECK(test::aborts([&] { (void)b->clone(SIZE_MAX, 2); }));
}

TEST_CASE("F-001 a reused block starts empty and unlinked") {
  BlockCount count;
  for (int round = 0; round < 3; ++round) {
    Ref<IOBufferBlock> b = IOBufferBlock::alloc(0);
    CHECK(b->read_avail() == 0);
    CHECK(b->write_avail() == 128);
    CHECK(b->next() == nullptr);
    put(*b, "used");
    b->set_next(IOBufferBlock::alloc(0));
  }
}

TEST_CASE("set_next drops what hung there before") {
  BlockCount count;
  Ref<IOBufferBlock> b = IOBufferBlock::alloc(0);
  b->set_next(IOBufferBlock::alloc(1));
  b->next()->set_next(IOBufferBlock::alloc(1));
  CHECK(count.blocks() == 3);
  b->set_next(IOBufferBlock::alloc(2));
  CHECK(count.blocks() == 2);
  b->set_next(nullptr);
  CHECK(count.blocks() == 1);
}
