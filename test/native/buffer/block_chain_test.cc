#include "buffer/block_chain.h"

#include <doctest/doctest.h>

#include <string>

#include "support/buffer_helpers.h"
#include "support/counting.h"
#include "support/death.h"
#include "support/pattern.h"
#include "support/random.h"

using namespace netvc;
using namespace netvc::test;

namespace {

std::string content(const BlockChain& c) {
  iovec iov[64];
  int64_t bytes = 0;
  const int count = c.iovecs(iov, 64, &bytes);
  std::string s;
  for (int i = 0; i < count; ++i)
    s.append(static_cast<char*>(iov[i].iov_base), iov[i].iov_len);
  CHECK(static_cast<int64_t>(s.size()) == bytes);
  return s;
}

std::string text_of(const iovec& piece) {
  return {static_cast<const char*>(piece.iov_base), piece.iov_len};
}

void add(BlockChain& c, std::string_view s) { CHECK(c.append(s.data(), s.size())); }

}  // namespace

TEST_CASE("BlockChain: empty it holds no block, drained it gives them back") {
  BlockCount count;
  BlockChain c;
  CHECK(c.empty());
  CHECK(content(c).empty());
  add(c, "");
  CHECK(count.blocks() == 0);
  add(c, "abc");
  CHECK(c.size() == 3);
  CHECK(count.blocks() == 1);
  c.consume(3);
  CHECK(c.empty());
  CHECK(count.blocks() == 0);
  add(c, "again");
  CHECK(content(c) == "again");
  c.clear();
  CHECK(count.blocks() == 0);
}

TEST_CASE("BlockChain: small messages share the tail block") {
  BlockCount count;
  BlockChain c;
  for (int i = 0; i < 100; ++i)
    add(c, "0123456789");
  CHECK(count.blocks() == 1);
  CHECK(c.size() == 1000);
  iovec iov[4];
  int64_t bytes = 0;
  CHECK(c.iovecs(iov, 4, &bytes) == 1);
}

TEST_CASE("BlockChain: nothing is written into memory that was added by reference") {
  BlockCount count;
  Ref<IOBufferBlock> owned = block_of("shared", 50);
  BlockChain c;
  c.append(owned->clone(0, 6));
  add(c, " copied");
  owned->end()[0] = '!';
  owned->fill(1);
  CHECK(content(c) == "shared copied");
  c.append(IOBufferBlock::alloc(0));  // empty: nothing
  CHECK(c.size() == 13);
}

TEST_CASE("BlockChain: consume is at most what there is") {
  BlockCount count;
  BlockChain c;
  add(c, "abc");
  CHECK(aborts([&] { c.consume(4); }));
  CHECK(aborts([&] { c.consume(-1); }));
  c.consume(0);
  CHECK(content(c) == "abc");
}

TEST_CASE(
    "IB-1 F-139: BlockChain: iovecs gives at most max pieces; a part of a piece leaves its rest") {
  BlockCount count;
  BlockChain c;
  for (const char* s : {"ab", "cd", "ef"})
    c.append(block_of(s));
  c.consume(1);
  iovec iov[3];
  int64_t bytes = 0;
  CHECK(c.iovecs(iov, 2, &bytes) == 2);
  CHECK(bytes == 3);
  CHECK(c.iovecs(iov, 0, &bytes) == 0);
  CHECK(bytes == 0);
  CHECK(c.iovecs(iov, 3, &bytes) == 3);
  CHECK(bytes == 5);
  CHECK(text_of(iov[0]) == "b");
  c.consume(2);  // a whole piece, and a part of the next one
  CHECK(c.size() == 3);
  CHECK(c.iovecs(iov, 3, &bytes) == 2);
  CHECK(text_of(iov[0]) == "d");
  CHECK(text_of(iov[1]) == "ef");
}

TEST_CASE("BlockChain: random appends, moves and consumes against a string (INV-4)") {
  BlockCount count;
  Random random(take_seed("BlockChain"));
  for (int round = 0; round < 200; ++round) {
    BlockChain chains[2];
    std::string models[2];
    uint64_t at = 0;
    for (int step = 0; step < 60; ++step) {
      const size_t i = random.one_in(3) ? 1 : 0;
      BlockChain& c = chains[i];
      std::string& model = models[i];
      switch (random.below(4)) {
        case 0: {
          const std::string s = pattern(at, static_cast<size_t>(random.size(9000)));
          at += s.size();
          add(c, s);
          model += s;
          break;
        }
        case 1: {
          const std::string s = pattern(at, static_cast<size_t>(random.size(300)));
          at += s.size();
          c.append(block_of(s, random.one_in(2) ? 20 : 0));
          model += s;
          break;
        }
        case 2: {
          const int64_t n = random.below(c.size() + 1);
          c.consume(n);
          model.erase(0, static_cast<size_t>(n));
          break;
        }
        default:
          if (!random.one_in(4)) break;
          c.append(chains[1 - i]);
          model += models[1 - i];
          models[1 - i].clear();
          REQUIRE(chains[1 - i].empty());
      }
      REQUIRE(c.size() == static_cast<int64_t>(model.size()));
      REQUIRE(c.empty() == model.empty());
      if (random.one_in(8)) REQUIRE(content(c) == model.substr(0, content(c).size()));
    }
    for (int i : {0, 1}) {
      while (!models[i].empty()) {
        const std::string s = content(chains[i]);
        REQUIRE(!s.empty());
        REQUIRE(models[i].compare(0, s.size(), s) == 0);
        chains[i].consume(static_cast<int64_t>(s.size()));
        models[i].erase(0, s.size());
      }
      REQUIRE(chains[i].empty());
    }
  }
}
