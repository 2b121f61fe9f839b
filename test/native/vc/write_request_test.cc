// WriteRequest: one message in its own memory, or in blocks of its own or of others.
#include "vc/write_request.h"

#include <doctest/doctest.h>

#include <vector>

#include "support/buffer_helpers.h"
#include "support/leak_check.h"
#include "support/notices.h"
#include "support/pattern.h"

namespace netvc::test {

namespace {

// What iovecs() shows, at most `max` pieces of it.
std::string shown(const WriteRequest& r, int max = 1024, int* pieces = nullptr) {
  std::vector<iovec> iov(static_cast<size_t>(max) + 1);
  int64_t attempted = -1;
  const int count = r.iovecs(iov.data(), max, &attempted);
  CHECK_LE(count, max);
  std::string s;
  for (int i = 0; i < count; ++i)
    s.append(static_cast<const char*>(iov[static_cast<size_t>(i)].iov_base),
             iov[static_cast<size_t>(i)].iov_len);
  CHECK_EQ(attempted, static_cast<int64_t>(s.size()));
  if (pieces) *pieces = count;
  return s;
}

}  // namespace

TEST_CASE("SW-1: a message of any size is copied whole") {
  LeakCheck leaks;
  for (size_t n : {0, 1, 511, 512, 513, 16384, 16385, 65536, 65537, 100'000, 1 << 20}) {
    CAPTURE(n);
    const std::string s = pattern(n, n);
    WriteRequest* r = WriteRequest::make(s.data(), n);
    CHECK_EQ(r->size(), static_cast<int64_t>(n));
    CHECK(r->untouched());
    int pieces = 0;
    CHECK(shown(*r, 1024, &pieces) == s);
    if (n <= 16384) CHECK_LE(pieces, 1);
    CHECK_EQ(leaks.requests(), 1);
    r->destroy();
    CHECK_EQ(leaks.requests(), 0);
  }
}

TEST_CASE("a large message wastes little memory") {
  for (size_t n : {16385, 20'000, 100'000, 300'000, 1 << 20}) {
    CAPTURE(n);
    BlockCount blocks;
    const std::string s(n, 'x');
    WriteRequest* r = WriteRequest::make(s.data(), n);
    CHECK_LT(blocks.bytes(), static_cast<int64_t>(n + 4096));
    r->destroy();
  }
}

TEST_CASE("consume goes over the border of its own memory, and leaves what has not been sent") {
  LeakCheck leaks;
  for (int64_t step : {1, 3, 7, 10, 16}) {
    CAPTURE(step);
    WriteRequest* r = WriteRequest::make("0123456789", 10);
    CHECK(r->append("abcdef", 6));
    BlockChain more;
    more.append(block_of("ghij"));
    r->append(more);
    std::string left = "0123456789abcdefghij";
    CHECK_EQ(shown(*r), left);
    r->consume(0);
    CHECK(r->untouched());
    while (r->size() > 0) {
      const int64_t n = std::min(step, r->size());
      r->consume(n);
      left.erase(0, static_cast<size_t>(n));
      CHECK_FALSE(r->untouched());
      CHECK_EQ(r->size(), static_cast<int64_t>(left.size()));
      CHECK_EQ(shown(*r), left);
    }
    r->destroy();
  }
}

TEST_CASE("iovecs shows at most as many pieces as it may, from the start") {
  LeakCheck leaks;
  WriteRequest* r = WriteRequest::make("own ", 4);
  BlockChain chain;
  for (const char* word : {"one ", "two ", "three"})
    chain.append(block_of(word));
  r->append(chain);
  CHECK_EQ(shown(*r, 0), "");
  CHECK_EQ(shown(*r, 1), "own ");
  CHECK_EQ(shown(*r, 2), "own one ");
  CHECK_EQ(shown(*r, 3), "own one two ");
  CHECK_EQ(shown(*r, 9), "own one two three");
  r->consume(6);
  CHECK_EQ(shown(*r, 1), "e ");
  r->destroy();
}

TEST_CASE("by reference: the blocks are taken, and messages to many share one memory") {
  LeakCheck leaks;
  Ref<IOBufferBlock> block = block_of(pattern(0, 1000));
  IOBufferData* data = block->data().get();
  const int before = static_cast<int>(data->ref_count());
  std::vector<WriteRequest*> requests;
  for (int i = 1; i <= 5; ++i) {
    BlockChain message;
    message.append(block->clone(0, block->read_avail()));
    requests.push_back(WriteRequest::make(message));
    CHECK(message.empty());
    CHECK_EQ(static_cast<int>(data->ref_count()), before + i);
  }
  CHECK_EQ(leaks.blocks().data(), 1);
  for (WriteRequest* r : requests) {
    CHECK(shown(*r) == pattern(0, 1000));
    r->destroy();
  }
  CHECK_EQ(static_cast<int>(data->ref_count()), before);
}

TEST_CASE("a plain request absorbs small plain ones, and only these") {
  LeakCheck leaks;
  Notices told;
  const std::string small(512, 's'), large(513, 'l');
  WriteRequest* to = WriteRequest::make("to ", 3);
  CHECK(to->absorb(WriteRequest::make(small.data(), small.size())));
  CHECK_EQ(leaks.requests(), 1);
  CHECK_EQ(shown(*to), "to " + small);

  WriteRequest* r = WriteRequest::make(large.data(), large.size());
  CHECK_FALSE(to->absorb(r));
  r->destroy();
  BlockChain chain;
  chain.append(block_of("x"));
  r = WriteRequest::make(chain);
  CHECK_FALSE(to->absorb(r));
  r->destroy();
  r = WriteRequest::make("x", 1);
  r->deadline = 1;
  CHECK_FALSE(to->absorb(r));
  r->deadline = 0;
  r->told = told.notice();
  CHECK_FALSE(to->absorb(r));
  CHECK_FALSE(r->absorb(to));
  r->told->tell(0);
  r->destroy();
  to->deadline = 1;
  r = WriteRequest::make("x", 1);
  CHECK_FALSE(to->absorb(r));
  r->destroy();
  to->destroy();
}

TEST_CASE("absorbing into a request that is partly sent appends to what is left") {
  LeakCheck leaks;
  WriteRequest* to = WriteRequest::make("0123", 4);
  to->consume(3);
  CHECK(to->absorb(WriteRequest::make("abc", 3)));
  CHECK_EQ(shown(*to), "3abc");
  to->destroy();
}

}  // namespace netvc::test
