#include "base/mpsc_list.h"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace netvc;

namespace {

struct Node {
  int producer = 0;
  int number = 0;  // not atomic: published by push
  std::atomic<Node*> mpsc_next{nullptr};
};

using List = MpscList<Node>;

// Each producer's numbers in order, every one once.
class Ledger {
 public:
  explicit Ledger(size_t producers) : next_(producers, 0) {}
  int64_t take(Node* fifo) {
    int64_t n = 0;
    for (; fifo; fifo = List::next(*fifo), ++n) {
      int& expected = next_[static_cast<size_t>(fifo->producer)];
      if (fifo->number != expected) ++wrong;
      expected = fifo->number + 1;
    }
    return n;
  }
  int wrong = 0;

 private:
  std::vector<int> next_;
};

struct Producers {
  const int count;
  const int each;
  std::unique_ptr<Node[]> nodes;
  std::atomic<int64_t> found_empty{0};
  std::vector<std::thread> threads;

  Producers(int producers, int pushes)
      : count(producers), each(pushes), nodes(new Node[static_cast<size_t>(producers * pushes)]) {}
  void start(List& list) {
    for (int p = 0; p < count; ++p) {
      threads.emplace_back([this, &list, p] {
        Node* mine = &nodes[static_cast<size_t>(p) * static_cast<size_t>(each)];
        for (int i = 0; i < each; ++i) {
          mine[i].producer = p;
          mine[i].number = i;
          if (list.push(&mine[i])) ++found_empty;
        }
      });
    }
  }
  void join() {
    for (auto& t : threads)
      t.join();
  }
  int64_t total() const { return int64_t{count} * each; }
};

}  // namespace

TEST_CASE("SW-3 MpscList gives back what was pushed, oldest first") {
  List list;
  CHECK(list.empty());
  CHECK(list.drain() == nullptr);
  Node nodes[3];
  CHECK(list.push(&nodes[0]));  // was empty
  CHECK_FALSE(list.push(&nodes[1]));
  CHECK_FALSE(list.push(&nodes[2]));
  CHECK_FALSE(list.empty());
  Node* n = list.drain();
  for (Node& expected : nodes) {
    REQUIRE(n == &expected);
    n = List::next(*n);
  }
  CHECK(n == nullptr);
  CHECK(list.empty());
  CHECK(list.push(&nodes[1]));  // empty again
  CHECK(list.drain() == &nodes[1]);
}

TEST_CASE("MpscList: an element may be pushed again from the drained chain") {
  List list;
  Node nodes[4];
  for (Node& n : nodes)
    list.push(&n);
  int again = 0;
  for (Node* n = list.drain(); n;) {
    Node* next = List::next(*n);  // before the push, which overwrites it
    if (list.push(n)) ++again;
    n = next;
  }
  CHECK(again == 1);
  CHECK(list.drain() == &nodes[0]);
}

TEST_CASE("INV-8 8 producers x 100,000 return while the consumer is paused, nothing is lost") {
  List list;
  Producers p(8, 100'000);
  p.start(list);
  p.join();  // nobody drains until here
  CHECK(p.found_empty.load() == 1);
  Ledger ledger(8);
  CHECK(ledger.take(list.drain()) == p.total());
  CHECK(ledger.wrong == 0);
  CHECK(list.empty());
}

TEST_CASE("INV-8 8 producers x 100,000 with a consumer: FIFO per producer, exactly once") {
  List list;
  Producers p(8, 100'000);
  Ledger ledger(8);
  p.start(list);
  int64_t seen = 0, drains = 0;
  while (seen < p.total()) {
    const int64_t n = ledger.take(list.drain());
    seen += n;
    if (n > 0) ++drains;
    if (n == 0) std::this_thread::yield();
  }
  p.join();
  CHECK(seen == p.total());
  CHECK(ledger.wrong == 0);
  CHECK(list.empty());
  // push says "was empty" exactly once per batch: as many wake-ups as drains that found something.
  CHECK(p.found_empty.load() == drains);
}

TEST_CASE("SW-3 no wake-up is lost: a consumer that sleeps until a push says empty gets it all") {
  List list;
  constexpr int kEach = 30'000;
  Producers p(2, kEach);
  std::atomic<int> wakes{0};
  for (int i = 0; i < p.count; ++i) {
    p.threads.emplace_back([&, i] {
      Node* mine = &p.nodes[static_cast<size_t>(i) * kEach];
      for (int k = 0; k < kEach; ++k) {
        mine[k].producer = i;
        mine[k].number = k;
        if (list.push(&mine[k])) {
          wakes.fetch_add(1);
          wakes.notify_one();
        }
      }
    });
  }
  Ledger ledger(2);
  int64_t seen = 0;
  while (seen < p.total()) {  // hangs when a wake-up is missing
    wakes.wait(0);
    wakes.fetch_sub(1);
    seen += ledger.take(list.drain());
  }
  p.join();
  CHECK(ledger.wrong == 0);
}
