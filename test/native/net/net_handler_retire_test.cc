// Handlers that are lent and come back: posting to one that has retired.
#include <sched.h>

#include <atomic>
#include <thread>

#include <doctest/doctest.h>

#include "support/leak_check.h"
#include "support/loop.h"
#include "support/net_threads.h"
#include "support/notices.h"
#include "vc/write.h"

namespace netvc::test {

namespace {

struct CountedTask final : Task {
  void run(NetHandler&) override { ran.fetch_add(1); }
  void release() override { released.fetch_add(1); }
  std::atomic<int> ran{0}, released{0};
};

}  // namespace

TEST_CASE("a post after retire() is refused, and the task is the caller's") {
  LeakCheck leaks;
  NetHandler::Lent h = NetHandler::lend();
  REQUIRE_EQ(h->open(), 0);
  CountedTask before, after;
  CHECK(h->post_task(&before));
  h->shut_down();
  h->retire();
  CHECK_EQ(before.ran, 1);
  CHECK_EQ(before.released, 1);
  CHECK_FALSE(h->post_task(&after));
  std::thread([&] { CHECK_FALSE(h->post_task(&after)); }).join();
  CHECK_EQ(after.ran, 0);
  CHECK_EQ(after.released, 0);
  auto token = std::make_shared<int>(1);
  CHECK_FALSE(h->post([token](NetHandler&) { FAIL_CHECK("ran"); }));
  CHECK_EQ(token.use_count(), 1);
}

TEST_CASE("what was posted before retire() has run by then, without a turn") {
  LeakCheck leaks;
  NetHandler::Lent h = NetHandler::lend();
  REQUIRE_EQ(h->open(), 0);
  h->shut_down();
  CountedTask task;
  std::thread([&] { CHECK(h->post_task(&task)); }).join();
  h->retire();
  CHECK_EQ(task.ran, 1);
}

TEST_CASE("a lent handler comes back and is used again, as new") {
  LeakCheck leaks;
  NetHandler* first = nullptr;
  {
    NetHandler::Lent h = NetHandler::lend();
    first = h.get();
    REQUIRE_EQ(h->open(), 0);
    h->index = 7;
    h->turn(0);
    CHECK_EQ(h->counters.turns.get(), 1);
  }
  CountedTask task;
  CHECK_FALSE(first->post_task(&task));  // it exists, retired
  NetHandler::Lent again = NetHandler::lend();
  CHECK_EQ(again.get(), first);
  REQUIRE_EQ(again->open(), 0);
  CHECK_EQ(again->index, 0);
  CHECK_EQ(again->counters.turns.get(), 0);
  CHECK(again->post_task(&task));
  again->turn(0);
  CHECK_EQ(task.ran, 1);
  again->shut_down();
}

TEST_CASE("one that was never opened can be given back") {
  LeakCheck leaks;
  NetHandler* first = NetHandler::lend().get();
  CHECK_EQ(NetHandler::lend().get(), first);
}

TEST_CASE("producers post while it retires: each task ran once, or was refused") {
  LeakCheck leaks;
  constexpr int kRounds = 30, kThreads = 4;
  for (int round = 0; round < kRounds; ++round) {
    NetHandler::Lent h = NetHandler::lend();
    REQUIRE_EQ(h->open(), 0);
    std::atomic<int64_t> ran{0}, accepted{0};
    std::atomic<int> refused{0};
    std::vector<std::thread> producers;
    for (int t = 0; t < kThreads; ++t) {
      producers.emplace_back([&] {
        while (h->post([&](NetHandler&) { ran.fetch_add(1); }))
          if (accepted.fetch_add(1) % 64 == 0) ::sched_yield();
        refused.fetch_add(1);
      });
    }
    while (ran == 0)
      h->turn(0);
    h->shut_down();
    h->retire();
    const int64_t by_then = ran;
    for (auto& p : producers)
      p.join();
    CHECK_EQ(refused, kThreads);
    CHECK_EQ(ran, accepted);
    CHECK_EQ(ran, by_then);
  }
}

TEST_CASE("INV-10: a connection that moves to a retired handler is closed, its messages told") {
  LeakCheck leaks;
  Notices told;
  NetHandler::Lent to = NetHandler::lend();
  REQUIRE_EQ(to->open(), 0);
  to->retire();
  Loop loop;
  VcAndPeer c(loop, Family::kUnix);
  CHECK_EQ(write(c.id, "x", 1, {.told = told.notice()}), 0);
  NetVConnection* moved = c.vc;
  c->move_to(*to, [&](NetVConnection* vc) { moved = vc; });
  CHECK_EQ(moved, nullptr);
  CHECK_FALSE(c.alive());
  CHECK(c.peer.at_end());
  CHECK_EQ(told.codes, std::vector{ENET_CLOSED});
}

TEST_CASE("INV-10: a stopped pool has told every message, and takes no more") {
  LeakCheck leaks;
  Notices told;
  NetThreads threads(2);
  FdPair p = fd_pair(Family::kUnix);
  const VersionedId id =
      on(threads[1], [&](NetHandler& h) { return adopt(h, std::move(p.a))->id(); });
  VcPool::Handle held = NetVConnection::pool().address(id);
  CHECK_EQ(write(id, "x", 1, {.told = told.notice()}), 0);
  threads.stop();
  CHECK_EQ(told.codes.size(), 1);
  CHECK_EQ(write(id, "x", 1), ENET_CLOSED);
  CHECK_EQ(write(held.again(), "x", 1), ENET_CLOSED);
  CHECK_EQ(held->unsent(), 0);
}

}  // namespace netvc::test
