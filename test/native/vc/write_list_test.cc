// WriteList as a unit: its three states, its order, and what its producers never wait for.
#include "vc/write_list.h"

#include <doctest/doctest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "support/leak_check.h"
#include "support/random.h"

namespace netvc::test {

namespace {

struct Number {
  int producer;
  int number;
};

WriteRequest* numbered(int producer, int number) {
  const Number n{producer, number};
  return WriteRequest::make(&n, sizeof n);
}

// Takes chains apart: each producer's numbers in order, every one once.
class Ledger {
 public:
  explicit Ledger(int producers) : next_(static_cast<size_t>(producers), 0) {}
  int64_t take(WriteRequest* fifo) {
    int64_t n = 0;
    for (; fifo; ++n) {
      WriteRequest* next = fifo->next.load();
      Number got;
      std::memcpy(&got, fifo->bytes(), sizeof got);
      int& expected = next_[static_cast<size_t>(got.producer)];
      wrong += got.number != expected;
      expected = got.number + 1;
      fifo->destroy();
      fifo = next;
    }
    return n;
  }
  int64_t wrong = 0;

 private:
  std::vector<int> next_;
};

// Pushes numbers 0 to each - 1 from every producer's thread; `called` is who found the list idle.
class Producers {
 public:
  Producers(WriteList& list, int count, int each) {
    for (int p = 0; p < count; ++p) {
      threads_.emplace_back([this, &list, p, each] {
        for (int i = 0; i < each; ++i)
          if (list.push(numbered(p, i))) called.fetch_add(1);
      });
    }
  }
  void join() {
    for (auto& t : threads_)
      t.join();
  }
  std::atomic<int64_t> called{0};

 private:
  std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("SW-3: whoever finds the list idle calls the writer, and nobody else") {
  LeakCheck leaks;
  WriteList list;
  CHECK(list.idle());
  CHECK(list.push(numbered(0, 0)));
  CHECK_FALSE(list.idle());
  CHECK_FALSE(list.push(numbered(0, 1)));
  Ledger ledger(1);
  CHECK_EQ(ledger.take(list.take()), 2);
  CHECK_FALSE(list.idle());                // claimed: the writer is at it
  CHECK_FALSE(list.push(numbered(0, 2)));  // and sees this by itself
  CHECK_EQ(ledger.take(list.take()), 1);
  CHECK(list.finish());
  CHECK(list.idle());
  CHECK(list.push(numbered(0, 3)));
  CHECK_EQ(ledger.take(list.take()), 1);
  CHECK(list.finish());
  CHECK_EQ(ledger.wrong, 0);
}

TEST_CASE("SW-8: take answers oldest first, and nothing when nothing is new") {
  LeakCheck leaks;
  WriteList list;
  for (int i = 0; i < 5; ++i)
    list.push(numbered(0, i));
  WriteRequest* r = list.take();
  CHECK_EQ(list.take(), nullptr);
  for (int i = 0; i < 5; ++i) {
    REQUIRE(r != nullptr);
    Number got;
    std::memcpy(&got, r->bytes(), sizeof got);
    CHECK_EQ(got.number, i);
    WriteRequest* next = r->next.load();
    r->destroy();
    r = next;
  }
  CHECK_EQ(r, nullptr);
  CHECK(list.finish());
}

TEST_CASE("SW-8: finish fails when something has come; the writer stays the writer") {
  LeakCheck leaks;
  WriteList list;
  Ledger ledger(1);
  CHECK(list.push(numbered(0, 0)));
  CHECK_FALSE(list.finish());  // nothing taken yet
  CHECK_EQ(ledger.take(list.take()), 1);
  CHECK_FALSE(list.push(numbered(0, 1)));
  CHECK_FALSE(list.finish());
  CHECK_FALSE(list.push(numbered(0, 2)));
  CHECK_EQ(ledger.take(list.take()), 2);
  CHECK(list.finish());
  CHECK_EQ(ledger.wrong, 0);
}

TEST_CASE("SW-9 INV-9: eight producers and a writer - each number once, each producer in order") {
  LeakCheck leaks;
  constexpr int kProducers = 8, kEach = 10'000;
  WriteList list;
  Ledger ledger(kProducers);
  Producers producers(list, kProducers, kEach);
  int64_t got = 0;
  while (got < kProducers * kEach) {
    got += list.idle() ? 0 : ledger.take(list.take());
    if (got % 3 == 0) ::sched_yield();
  }
  producers.join();
  CHECK(list.finish());
  CHECK_EQ(producers.called, 1);  // the writer never finished in between
  CHECK_EQ(ledger.wrong, 0);
}

TEST_CASE("SW-3 SW-8: the writer finishes whenever it can, and is called again each time") {
  LeakCheck leaks;
  constexpr int kProducers = 4, kEach = 10'000;
  WriteList list;
  Ledger ledger(kProducers);
  Producers producers(list, kProducers, kEach);
  int64_t got = 0, finished = 0;
  while (got < kProducers * kEach) {
    if (list.idle()) continue;
    do {
      got += ledger.take(list.take());
    } while (!list.finish());
    ++finished;
  }
  producers.join();
  CHECK(list.idle());
  CHECK_EQ(producers.called, finished);
  CHECK_EQ(ledger.wrong, 0);
}

TEST_CASE("INV-8 F-126: 8 producers x 10^5 pushes return although no writer ever runs") {
  LeakCheck leaks;
  constexpr int kProducers = 8, kEach = 100'000;
  WriteList list;
  Producers producers(list, kProducers, kEach);
  producers.join();
  CHECK_EQ(producers.called, 1);
  Ledger ledger(kProducers);
  CHECK_EQ(ledger.take(list.take()), kProducers * kEach);
  CHECK_EQ(ledger.wrong, 0);
  CHECK(list.finish());
}

}  // namespace netvc::test
