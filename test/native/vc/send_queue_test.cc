// SendQueue: messages in the order in which they leave.
#include "vc/send_queue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "support/buffer_helpers.h"
#include "support/leak_check.h"
#include "support/notices.h"
#include "support/pattern.h"
#include "support/random.h"

namespace netvc::test {

namespace {

struct Fixture {
  LeakCheck leaks;
  Notices told;
  SendQueue q;

  WriteRequest* message(std::string_view s, bool with_notice, Nanos deadline = 0) {
    WriteRequest* r = WriteRequest::make(s.data(), s.size());
    if (with_notice) r->told = told.notice();
    r->deadline = deadline;
    return r;
  }
  std::string shown(int max = 1024, int* pieces = nullptr, int64_t most = INT64_MAX) const {
    std::vector<iovec> iov(static_cast<size_t>(max) + 1);
    int64_t attempted = -1;
    const int count = q.iovecs(iov.data(), max, most, &attempted);
    CHECK_LE(count, max);
    std::string s;
    for (size_t i = 0; i < static_cast<size_t>(count); ++i)
      s.append(static_cast<const char*>(iov[i].iov_base), iov[i].iov_len);
    CHECK_EQ(attempted, static_cast<int64_t>(s.size()));
    if (pieces) *pieces = count;
    return s;
  }
  // Tells and destroys; how many.
  static int finish(WriteRequest* r, int code) {
    int n = 0;
    while (r) {
      WriteRequest* next = r->next.load();
      if (r->told) r->told->tell(code);
      r->destroy();
      r = next;
      ++n;
    }
    return n;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "so many bytes at most; how much belongs to a message that has begun") {
  q.append(message("abc", true));
  q.append(message("defgh", true));
  CHECK_EQ(q.begun(), 0);
  CHECK_EQ(shown(9, nullptr, 2), "ab");
  CHECK_EQ(shown(9, nullptr, 3), "abc");
  int pieces = 0;
  CHECK_EQ(shown(9, &pieces, 4), "abcd");
  CHECK_EQ(pieces, 2);
  finish(q.consume(2), 0);
  CHECK_EQ(q.begun(), 1);
  finish(q.consume(1), 0);
  CHECK_EQ(q.begun(), 0);
  finish(q.consume(5), 0);

  CHECK(q.append("rest", 4));
  CHECK_EQ(q.begun(), 0);
  q.begin();
  CHECK_EQ(q.begun(), 4);
  CHECK_EQ(q.consume(4), nullptr);
  CHECK_EQ(q.begun(), 0);
  told.codes.clear();
}

TEST_CASE_FIXTURE(Fixture, "plain messages share blocks: many small ones are one piece") {
  std::string all;
  for (int i = 0; i < 100; ++i) {
    const std::string s = pattern(static_cast<uint64_t>(i) * 10, 10);
    all += s;
    if (i % 2) {
      CHECK(q.append(s.data(), s.size()));
    } else {
      q.append(message(s, false));
    }
  }
  CHECK_EQ(q.size(), 1000);
  CHECK_LE(leaks.requests(), 2);
  int pieces = 0;
  CHECK(shown(1024, &pieces) == all);
  CHECK_LE(pieces, 3);
  CHECK_EQ(q.consume(1000), nullptr);
  CHECK(q.empty());
  CHECK_EQ(leaks.requests(), 0);
  CHECK_EQ(leaks.blocks().blocks(), 0);
}

TEST_CASE_FIXTURE(Fixture, "an empty queue has no pieces and takes a consume of nothing") {
  CHECK_EQ(shown(), "");
  CHECK_EQ(q.consume(0), nullptr);
  CHECK_EQ(q.take_all(), nullptr);
  CHECK_EQ(q.next_deadline(), 0);
}

TEST_CASE_FIXTURE(Fixture, "SW-12: who waits is answered in order, when the last byte has left") {
  q.append(message("aaaa", true));
  CHECK(q.append("bb", 2));
  q.append(message("cccc", true));
  q.append(message("dddd", true));
  CHECK_EQ(shown(), "aaaabbccccdddd");
  CHECK_EQ(q.consume(3), nullptr);
  CHECK_EQ(finish(q.consume(1), 1), 1);
  CHECK_EQ(told.codes, std::vector{1});
  CHECK_EQ(q.consume(1), nullptr);
  CHECK_EQ(shown(), "bccccdddd");
  WriteRequest* both = q.consume(9);  // over three borders
  REQUIRE(both != nullptr);
  CHECK_EQ(finish(both, 2), 2);
  CHECK_EQ(told.codes, std::vector{1, 2, 2});
  CHECK(q.empty());
}

TEST_CASE_FIXTURE(Fixture, "what comes behind a message with a notice does not join it") {
  q.append(message("first", true));
  CHECK(q.append("second", 6));
  q.append(message("third", false));
  CHECK_EQ(finish(q.consume(5), 0), 1);
  CHECK_EQ(shown(), "secondthird");
  CHECK_EQ(q.consume(11), nullptr);
}

TEST_CASE_FIXTURE(Fixture, "iovecs stops where a writev is full, and goes on from there") {
  for (int i = 0; i < 10; ++i)
    q.append(message(std::string(3, static_cast<char>('a' + i)), true));
  CHECK_EQ(shown(1), "aaa");
  CHECK_EQ(shown(4), "aaabbbcccddd");
  CHECK_EQ(finish(q.consume(4), 0), 1);
  CHECK_EQ(shown(2), "bbccc");
  CHECK_EQ(shown(100), "bbcccdddeeefffggghhhiiijjj");
  // A chain longer than the room: nothing of what is behind it may be shown.
  CHECK_EQ(finish(q.consume(q.size()), 0), 9);
  BlockChain chain;
  for (const char* word : {"1", "2", "3", "4"})
    chain.append(block_of(word));
  CHECK(q.append(chain));
  q.append(message("x", true));
  CHECK_EQ(shown(3), "123");
  CHECK_EQ(shown(5), "1234x");
  CHECK_EQ(finish(q.consume(5), 0), 1);
}

TEST_CASE_FIXTURE(Fixture, "take_all gives everything in order and leaves it empty") {
  q.append(message("a", true));
  CHECK(q.append("b", 1));
  q.append(message("c", true));
  WriteRequest* all = q.take_all();
  CHECK(q.empty());
  CHECK_EQ(shown(), "");
  CHECK_EQ(finish(all, 7), 3);
  CHECK_EQ(told.codes, std::vector{7, 7});
  CHECK(q.append("again", 5));  // it is usable afterwards
  CHECK_EQ(shown(), "again");
  CHECK_EQ(q.consume(5), nullptr);
}

TEST_CASE_FIXTURE(Fixture, "deadlines: untouched messages are taken back, wherever they are") {
  q.append(message("aa", true, 30));
  q.append(message("bb", true, 10));
  CHECK(q.append("cc", 2));
  q.append(message("dd", true, 20));
  CHECK_EQ(q.next_deadline(), 10);
  CHECK_EQ(q.take_expired(9), nullptr);
  CHECK_EQ(finish(q.take_expired(10), 1), 1);
  CHECK_EQ(shown(), "aaccdd");
  CHECK_EQ(q.size(), 6);
  CHECK_EQ(q.next_deadline(), 20);
  CHECK_EQ(finish(q.take_expired(20), 2), 1);  // the tail
  CHECK(q.append("ee", 2));
  CHECK_EQ(shown(), "aaccee");
  CHECK_EQ(finish(q.take_expired(1000), 3), 1);  // the head
  CHECK_EQ(shown(), "ccee");
  CHECK_EQ(q.next_deadline(), 0);
  CHECK_EQ(told.codes, std::vector{1, 2, 3});
  CHECK_EQ(q.consume(4), nullptr);
}

TEST_CASE_FIXTURE(Fixture, "deadlines: one that is on its way is not taken back") {
  q.append(message("aa", true, 10));
  q.append(message("bb", true, 10));
  CHECK_EQ(q.consume(1), nullptr);
  CHECK_EQ(finish(q.take_expired(50), 1), 1);
  CHECK_EQ(shown(), "a");
  CHECK_EQ(q.next_deadline(), 0);
  CHECK_EQ(finish(q.consume(1), 0), 1);
  CHECK_EQ(told.codes, std::vector{1, 0});
}

TEST_CASE_FIXTURE(Fixture,
                  "deadlines: each of 40,000 comes in its time, and they are told in order") {
  Random random(take_seed("deadlines"));
  constexpr size_t kMany = 40'000;
  std::vector<Nanos> due;
  for (size_t i = 0; i < kMany; ++i) {
    due.push_back(1 + static_cast<Nanos>(random.below(2 * kMany)));
    q.append(message("x", false, due.back()));
  }
  std::vector<Nanos> sorted = due;
  std::sort(sorted.begin(), sorted.end());
  size_t through = 0;
  while (through < kMany) {
    const Nanos now = q.next_deadline();
    CHECK_EQ(now, sorted[through]);
    uint64_t before = 0;
    for (WriteRequest* r = q.take_expired(now); r; ++through) {
      WriteRequest* next = r->next.load();
      CHECK_EQ(r->deadline, now);
      CHECK_GT(r->order, before);
      before = r->order;
      r->destroy();
      r = next;
    }
  }
  CHECK(q.empty());
  CHECK_EQ(q.requests(), 0);
  CHECK_EQ(q.next_deadline(), 0);
}

TEST_CASE_FIXTURE(Fixture, "deadlines: what is taken out otherwise is not met again") {
  q.append(message("aa", true, 10));
  q.append(message("bb", true, 20));
  q.append(message("cc", true, 30));
  CHECK_EQ(finish(q.consume(2), 0), 1);
  CHECK_EQ(q.next_deadline(), 20);
  CHECK_EQ(finish(q.take_all(), 7), 2);
  CHECK_EQ(q.next_deadline(), 0);
  q.append(message("dd", true, 40));
  CHECK_EQ(q.next_deadline(), 40);
  CHECK_EQ(finish(q.take_expired(100), 1), 1);
}

TEST_CASE_FIXTURE(Fixture, "deadlines: all of them at once leave it empty") {
  for (int i = 0; i < 3; ++i)
    q.append(message("x", true, 10));
  CHECK_EQ(finish(q.take_expired(10), 5), 3);
  CHECK(q.empty());
  CHECK(q.append("y", 1));
  CHECK_EQ(shown(), "y");
  CHECK_EQ(q.consume(1), nullptr);
}

TEST_CASE_FIXTURE(Fixture, "INV-9: random messages and random transfers, byte by byte") {
  Random random(take_seed("send queue"));
  uint64_t in = 0, out = 0;
  size_t notices = 0;
  for (int round = 0; round < 3000; ++round) {
    const size_t n = static_cast<size_t>(random.size(40'000));
    const std::string s = pattern(in, n);
    switch (random.below(4)) {
      case 0:
        CHECK(q.append(s.data(), n));
        break;
      case 1: {
        BlockChain chain;
        CHECK(chain.append(s.data(), n));
        CHECK(q.append(chain));
        CHECK(chain.empty());
        break;
      }
      case 2:
        q.append(message(s, false));
        break;
      default:
        q.append(message(s, true));
        ++notices;
    }
    in += n;
    while (q.size() > 0 && !random.one_in(3)) {
      std::vector<iovec> iov(static_cast<size_t>(1 + random.below(8)));
      int64_t attempted = 0;
      const int count = q.iovecs(iov.data(), static_cast<int>(iov.size()), INT64_MAX, &attempted);
      REQUIRE_GT(attempted, 0);
      uint64_t at = out;
      for (int i = 0; i < count; ++i) {
        const iovec& v = iov[static_cast<size_t>(i)];
        REQUIRE_EQ(matching_pattern(v.iov_base, at, v.iov_len), v.iov_len);
        at += v.iov_len;
      }
      const int64_t sent = random.size(attempted);
      finish(q.consume(sent), 0);
      out += static_cast<uint64_t>(sent);
    }
    REQUIRE_EQ(q.size(), static_cast<int64_t>(in - out));
  }
  finish(q.consume(q.size()), 0);
  CHECK_EQ(told.codes.size(), notices);
}

}  // namespace netvc::test
