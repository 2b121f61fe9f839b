// Buffers without memory: what cannot be added is not added, and nothing else has changed.
#include <optional>

#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/leak_check.h"
#include "support/no_memory.h"
#include "support/pattern.h"

namespace netvc::test {

namespace {

struct Fixture {
  LeakCheck leaks;
  std::optional<NoMemory> none;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "SW-1: a buffer takes all of the bytes, or none") {
  Buf b(kIndexSmall);
  b.put("before ");
  const std::string s = pattern(0, 5000);
  none.emplace();
  CHECK_EQ(b.m->write(s.data(), 5000), 0);
  CHECK_EQ(b.avail(), 7);
  CHECK_EQ(b.m->write(s.data(), 100), 100);  // for these there is room
  CHECK_FALSE(b.m->add_block());
  CHECK_EQ(b.m->write(s.data(), 5000), 0);
  none.reset();
  CHECK_EQ(b.m->write(s.data(), 5000), 5000);
  CHECK_EQ(b.take(), "before " + s.substr(0, 100) + s);
}

TEST_CASE_FIXTURE(Fixture, "a buffer that has nothing begins when there is memory") {
  none.emplace();
  Ref<MIOBuffer> m = MIOBuffer::create(kIndexLarge);
  CHECK_FALSE(m->has_writer_block());
  CHECK_EQ(m->write("x", 1), 0);
  CHECK_EQ(m->write_avail(), 0);
  CHECK(m->has_room());
  none.reset();
  CHECK_EQ(m->write("x", 1), 1);
}

TEST_CASE_FIXTURE(Fixture, "BUF-6: by reference as much as there is memory for") {
  Buf from(kIndexSmall), to(kIndexSmall);
  const std::string s = pattern(0, 3000);
  from.put(s);
  none.emplace();
  CHECK_EQ(to.m->write(from.r), 0);
  CHECK_EQ(to.m->add(from.r), 0);
  CHECK_EQ(to.m->remove_append(from.r), 0);
  CHECK_EQ(from.avail(), 3000);
  none.reset();
  CHECK_EQ(to.m->remove_append(from.r), 3000);
  CHECK_EQ(to.take(), s);
}

TEST_CASE_FIXTURE(Fixture, "add() copies what fits, and says how much that is") {
  Buf from(kIndexSmall), to(kIndexSmall);
  from.put("part one");
  to.put("x");
  const std::string large = pattern(0, 5000);
  from.put(large);
  none.emplace();
  const int64_t added = to.m->add(from.r);
  CHECK_LT(added, 5008);
  CHECK_EQ(to.peek(), "x" + ("part one" + large).substr(0, static_cast<size_t>(added)));
  none.reset();
  CHECK_EQ(to.m->add(from.r, kNoLimit, added), 5008 - added);
  CHECK_EQ(to.take(), "xpart one" + large);
}

TEST_CASE_FIXTURE(Fixture, "a chain takes all of the bytes, or none") {
  BlockChain c;
  CHECK(c.append("before ", 7));
  const std::string s = pattern(0, 200'000);
  none.emplace();
  CHECK_FALSE(c.append(s.data(), s.size()));
  CHECK_EQ(c.size(), 7);
  CHECK(c.append("here", 4));  // in the room of the block
  none.reset();
  CHECK(c.append(s.data(), s.size()));
  CHECK_EQ(c.size(), 200'011);
}

TEST_CASE_FIXTURE(Fixture, "a chain that was partly sent joins another one without memory") {
  BlockChain a, b;
  CHECK(a.append("first ", 6));
  CHECK(b.append("xxsecond", 8));
  b.consume(2);
  none.emplace();
  a.append(b);
  iovec iov[4];
  int64_t n = 0;
  const int count = a.iovecs(iov, 4, &n);
  std::string all;
  for (int i = 0; i < count; ++i)
    all.append(static_cast<char*>(iov[i].iov_base), iov[i].iov_len);
  CHECK_EQ(all, "first second");
}

TEST_CASE_FIXTURE(Fixture, "what is made of blocks is none without memory") {
  none.emplace();
  for (int index : {0, int{kIndexLarge}, kIndexMax, -100, -5'000'000})
    CHECK_FALSE(IOBufferBlock::alloc(index));
  CHECK_FALSE(IOBufferData::constant("x", 1, nullptr, nullptr));
  Buf b;
  CHECK_FALSE(b.m->append_block({}));
}

}  // namespace netvc::test
