// MIOBuffer::add: bytes by reference in bounded memory (PV-13, BUF-6).
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/counting.h"

using namespace netvc;
using namespace netvc::test;

namespace {

constexpr int64_t kBlock = index_to_size(kIndex32K);

// A block of this size with n bytes in it, as a buffer of its own.
struct Piece : Buf {
  Piece(int64_t n, int size_index) : Buf(size_index) {
    put(std::string(static_cast<size_t>(n), 'p'));
  }
};

}  // namespace

TEST_CASE("PV-13 add: what is shared and what is copied") {
  struct Row {
    int64_t piece;
    int size_index;
    bool shared;
  };
  const Row rows[] = {
      {127, kIndex32K, false},
      {128, kIndex32K, true},
      {1, 0, false},
      {128, 0, true},
      {5000, kIndex32K, true},
      // A few marks of `to` are 128 KiB: a piece of a larger block is shared if it is much of it.
      {30'000, kIndexMax, false},
      {600'000, kIndexMax, true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.piece);
    CAPTURE(row.size_index);
    Piece from(row.piece, row.size_index);
    Buf to(kIndex32K, kBlock);
    CHECK(to.m->add(from.r) == row.piece);
    CHECK((to.r->start() == from.r->start()) == row.shared);
    CHECK(from.avail() == row.piece);
    CHECK(to.take() == from.take());
  }
}

TEST_CASE("PV-13 BUF-13 add: memory that was lent stays where it was lent to") {
  static const char text[] = "lent";
  Buf from, to;
  REQUIRE(from.m->append_block(
      IOBufferBlock::make(IOBufferData::constant(text, sizeof(text), nullptr, nullptr))));
  CHECK(to.m->add(from.r) == sizeof(text));
  CHECK(to.r->start() != text);
}

TEST_CASE("PV-13 add: an offset, a limit, and a buffer's own reader") {
  Buf from(0);
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += static_cast<char>('a' + i % 26);
  from.put(text);
  Buf to(0);
  CHECK(to.m->add(from.r, 300, 50) == 300);
  CHECK(to.take() == text.substr(50, 300));
  CHECK(from.m->add(from.r, 10, 990) == 10);
  CHECK(from.take() == text + text.substr(990));
}

TEST_CASE("PV-13 add: memory is bounded by the bytes and the mark, whatever the pieces") {
  BlockCount count;
  for (const int64_t piece : {1, 127, 128, 129, 1000, 8000, 8192, 32768}) {
    for (const bool own_block : {true, false}) {
      CAPTURE(piece);
      CAPTURE(own_block);
      Buf to(kIndex32K, kBlock);
      {
        Piece shared_block(piece, kIndex32K);
        Piece one(1, kIndex32K);
        while (to.avail() < 2 * kBlock) {
          to.m->add(one.r);  // a small one before each, which would end a block of its own
          if (!own_block) {
            to.m->add(shared_block.r);
            continue;
          }
          Piece p(piece, kIndex32K);
          to.m->add(p.r);
        }
      }
      const int64_t bound = MIOBuffer::kKeptPerByte * (to.avail() + kBlock) + 2 * kBlock;
      CHECK(count.bytes() <= bound);
      if (piece < 8192)
        CHECK(count.bytes() <= to.avail() + MIOBuffer::kKeptPerByte * kBlock + 2 * kBlock);
      CHECK(to.take().size() >= 2 * kBlock);
      CHECK(to.m->release_if_drained());
      CHECK(count.bytes() == 0);
    }
  }
}

TEST_CASE("PV-13 add: what was read counts no more") {
  BlockCount count;
  Buf to(kIndex32K, kBlock);
  for (int i = 0; i < 100; ++i) {
    Piece p(1000, kIndex32K);
    to.m->add(p.r);
    CHECK(to.r->start() == p.r->start());
    to.take();
  }
}
