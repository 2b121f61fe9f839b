// The heap of one-shot timers.
#include <map>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "net/timer_queue.h"
#include "support/random.h"

namespace netvc::test {

namespace {

struct Item {
  explicit Item(std::vector<int>& fired_order, int number)
      : order(fired_order),
        n(number),
        timer(
            [](void* p) {
              auto* i = static_cast<Item*>(p);
              i->order.push_back(i->n);
            },
            this) {}
  std::vector<int>& order;
  int n;
  Timer timer;
};

}  // namespace

TEST_CASE("timers fire in the order of their time, when it has come, once") {
  std::vector<int> order;
  Item a(order, 1), b(order, 2), c(order, 3);
  TimerQueue q;
  CHECK_EQ(q.next(), TimerQueue::kNever);
  q.arm(b.timer, 20);
  q.arm(c.timer, 30);
  q.arm(a.timer, 10);
  CHECK_EQ(q.next(), 10);
  q.run(9);
  CHECK(order.empty());
  q.run(20);
  CHECK_EQ(order, std::vector{1, 2});
  q.run(100);
  q.run(200);
  CHECK_EQ(order, std::vector{1, 2, 3});
  CHECK_EQ(q.size(), 0);
}

TEST_CASE("arming again moves a timer, cancelling an idle one is nothing") {
  std::vector<int> order;
  Item a(order, 1), b(order, 2);
  TimerQueue q;
  q.cancel(a.timer);
  q.arm(a.timer, 10);
  q.arm(b.timer, 20);
  q.arm(a.timer, 30);
  CHECK_EQ(q.size(), 2);
  CHECK_EQ(q.next(), 20);
  q.arm(a.timer, 5);
  CHECK_EQ(q.next(), 5);
  q.cancel(a.timer);
  CHECK_FALSE(a.timer.armed());
  q.run(100);
  CHECK_EQ(order, std::vector{2});
}

TEST_CASE("a timer may cancel, re-arm or destroy others, and itself, while it fires") {
  TimerQueue q;
  struct Self {
    explicit Self(TimerQueue& queue) : q(queue), timer(&fire, this), victim(&never, nullptr) {}
    static void fire(void* p) {
      auto* s = static_cast<Self*>(p);
      ++s->times;
      s->q.cancel(s->victim);
      s->q.arm(s->timer, 0);  // for the past, again and again
    }
    static void never(void*) { FAIL_CHECK("cancelled"); }
    TimerQueue& q;
    int times = 0;
    Timer timer, victim;
  } self(q);
  q.arm(self.timer, 1);
  q.arm(self.victim, 2);
  q.run(10);
  CHECK_LE(self.times, 2);  // not more than were armed at the start
  const int before = self.times;
  q.run(10);
  CHECK_EQ(self.times, before + 1);
  q.cancel(self.timer);

  struct Owned {
    std::unique_ptr<Timer> timer;
  } owned;
  owned.timer =
      std::make_unique<Timer>([](void* p) { static_cast<Owned*>(p)->timer.reset(); }, &owned);
  q.arm(*owned.timer, 1);
  q.run(10);
  CHECK_FALSE(owned.timer);
}

TEST_CASE("random arming and cancelling agrees with a sorted map") {
  Random random(take_seed("timer_queue"));
  std::vector<int> order;
  std::vector<std::unique_ptr<Item>> items;
  for (int i = 0; i < 200; ++i)
    items.push_back(std::make_unique<Item>(order, i));
  TimerQueue q;
  std::map<int, Nanos> due;
  Nanos now = 0;
  for (int step = 0; step < 20'000; ++step) {
    const int i = static_cast<int>(random.below(200));
    Timer& t = items[static_cast<size_t>(i)]->timer;
    if (random.one_in(3)) {
      q.cancel(t);
      due.erase(i);
    } else {
      due[i] = now + random.below(1000);
      q.arm(t, due[i]);
    }
    REQUIRE_EQ(q.size(), due.size());
    if (!random.one_in(10)) continue;
    now += random.below(200);
    order.clear();
    q.run(now);
    Nanos last = 0;
    for (int fired : order) {
      REQUIRE(due.count(fired) == 1);
      REQUIRE_LE(due[fired], now);
      REQUIRE_GE(due[fired], last);
      last = due[fired];
      due.erase(fired);
    }
    for (const auto& [n, when] : due)
      REQUIRE_GT(when, now);
  }
  for (auto& i : items)
    q.cancel(i->timer);
}

}  // namespace netvc::test
