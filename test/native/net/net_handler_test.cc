// The turn of a handler: order, bounds, sleeping and waking.
#include <atomic>
#include <thread>

#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/net_threads.h"
#include "support/spin.h"

namespace netvc::test {

TEST_CASE("NH-1: a posted task runs in the next turn; one posted by it comes later in order") {
  LeakCheck leaks;
  Loop loop;
  std::vector<int> order;
  loop.h.post([&](NetHandler& h) {
    order.push_back(1);
    h.post([&](NetHandler&) { order.push_back(3); });
  });
  loop.h.post([&](NetHandler&) { order.push_back(2); });
  CHECK(loop.h.has_work());
  loop.turn(2);
  CHECK_EQ(order, std::vector{1, 2, 3});
}

TEST_CASE("TH-3: between turns the time is now, in a turn it stands still") {
  LeakCheck leaks;
  Loop loop;
  loop.turn();
  const Nanos before = monotonic_now();
  while (monotonic_now() == before) {
  }
  CHECK_GT(loop.h.now(), before);
  Nanos first = 0, second = 0;
  loop.h.post([&](NetHandler& h) { h.post([&](NetHandler&) { h.wake(); }); });
  VcAndPeer c(loop, Family::kTcp4);
  CHECK_GE(c->last_activity(), before);  // the turn was before
  Buf in;
  Recorder rec([&](Event, VIO*) {
    first = loop.h.now();
    const Nanos now = monotonic_now();
    while (monotonic_now() == now) {
    }
    second = loop.h.now();
  });
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.send("x");
  loop.see(c->get_socket(), POLLIN);
  CHECK_GT(first, before);
  CHECK_EQ(first, second);
  c->do_io_close();
}

TEST_CASE(
    "NH-1 NH-3: edges are recorded for all before anybody is called; reads come before writes") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer a(loop, Family::kTcp4), b(loop, Family::kTcp4);
  std::vector<std::string> order;
  Buf in_a, in_b, out_a("x"), out_b("y");
  Recorder of_a([&](Event e, VIO*) {
    order.push_back(std::string("a ") + short_name(e));
    CHECK(b->read.triggered);  // its edge was recorded in the same poll
  });
  Recorder of_b([&](Event e, VIO*) { order.push_back(std::string("b ") + short_name(e)); });
  loop.settle();
  a->do_io_write(&of_a, 1, out_a.r);
  b->do_io_write(&of_b, 1, out_b.r);
  a->do_io_read(&of_a, 1, in_a.m);
  b->do_io_read(&of_b, 1, in_b.m);
  a.peer.send("1");
  b.peer.send("2");
  REQUIRE(wait_fd(a->get_socket(), POLLIN));
  REQUIRE(wait_fd(b->get_socket(), POLLIN));
  loop.turn();
  CHECK_EQ(order, std::vector<std::string>{"a RC", "b RC", "a WC", "b WC"});
}

TEST_CASE("NH-2: readiness of a disabled side is dropped from the list and remembered") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in;
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.send("x");
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  c->read_vio.enabled = false;  // as a user may: the pass drops it
  loop.turn();
  CHECK_FALSE(loop.h.is_scheduled(c->read));
  CHECK(c->read.triggered);
  c->reenable(&c->read_vio);
  loop.turn();
  CHECK_EQ(rec.story(), "RR");
}

TEST_CASE("NH-4 B-18 INV-18 F-047: one that is always ready does not hold the turn") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer flood(loop, Family::kUnix), quiet(loop, Family::kUnix);
  Buf in_flood(0, 0), in_quiet;
  int64_t floods = 0;
  Recorder of_flood([&](Event, VIO* vio) {
    ++floods;
    in_flood.take();
    vio->reenable();
  });
  Recorder of_quiet;
  flood->do_io_read(&of_flood, VIO::kUnlimited, in_flood.m);
  quiet->do_io_read(&of_quiet, VIO::kUnlimited, in_quiet.m);
  loop.settle();
  flood.peer.send(std::string(100'000, 'x'));
  loop.turn();
  CHECK_EQ(floods, 1);  // one activation per turn
  quiet.peer.send("y");
  loop.turn();
  CHECK_EQ(floods, 2);
  CHECK_EQ(of_quiet.story(), "RR");
  CHECK(loop.h.has_work());
  // Timers and posts have their turn as well.
  bool ran = false;
  loop.h.post([&](NetHandler&) { ran = true; });
  loop.turn();
  CHECK(ran);
  CHECK_EQ(floods, 3);
}

TEST_CASE("INV-18: a hundred saturating connections, each gets as much as the others") {
  LeakCheck leaks;
  Loop loop;
  constexpr int kMany = 100;
  std::vector<std::unique_ptr<VcAndPeer>> vcs;
  std::vector<std::unique_ptr<Recorder>> recs;
  std::vector<Buf> bufs(kMany, Buf(0, 0));
  std::vector<int> rounds(kMany, 0);
  for (int i = 0; i < kMany; ++i) {
    bufs[static_cast<size_t>(i)] = Buf(0, 0);
    vcs.push_back(std::make_unique<VcAndPeer>(loop, Family::kUnix));
    recs.push_back(std::make_unique<Recorder>([&, i](Event, VIO* vio) {
      ++rounds[static_cast<size_t>(i)];
      bufs[static_cast<size_t>(i)].take();
      vio->reenable();
    }));
    (*vcs.back())->do_io_read(recs.back().get(), VIO::kUnlimited, bufs[static_cast<size_t>(i)].m);
    vcs.back()->peer.send(std::string(20'000, 'x'));
  }
  loop.turn(40);
  const auto [least, most] = std::minmax_element(rounds.begin(), rounds.end());
  CHECK_GT(*least, 10);
  CHECK_LE(*most - *least, 1);
}

TEST_CASE("a turn waits no longer than asked, and not at all when there is work") {
  LeakCheck leaks;
  Loop loop;
  loop.settle();
  Nanos start = monotonic_now();
  loop.h.turn(15 * kMillisecond);
  CHECK_GE(monotonic_now() - start, 15 * kMillisecond);
  loop.h.post([](NetHandler& h) { h.post([](NetHandler&) {}); });
  start = monotonic_now();
  loop.h.turn(10 * kSecond);
  CHECK_LT(monotonic_now() - start, 5 * kSecond);
}

TEST_CASE("a timer ends the wait, is never early, and fires once") {
  LeakCheck leaks;
  Loop loop;
  static int fired;
  fired = 0;
  Timer t([](void*) { ++fired; }, nullptr);
  const Nanos due = monotonic_now() + 10 * kMillisecond;
  loop.h.timers.arm(t, due);
  while (fired == 0)
    loop.h.turn(NetHandler::kForever);
  CHECK_GE(monotonic_now(), due);
  loop.turn(5);
  CHECK_EQ(fired, 1);
  CHECK_FALSE(t.armed());
}

TEST_CASE("NH-1: inline engine - after a turn, a post makes nested_fd readable") {
  LeakCheck leaks;
  Loop loop;
  for (int i = 0; i < 100; ++i) {
    loop.turn(2);
    CHECK_FALSE(wait_fd(loop.h.nested_fd(), POLLIN, 0));
    bool ran = false;
    std::thread([&] { loop.h.post([&](NetHandler&) { ran = true; }); }).join();
    CHECK(wait_fd(loop.h.nested_fd(), POLLIN, 0));
    loop.turn();
    CHECK(ran);
  }
}

TEST_CASE("INV-6 RE-7: a post at every moment of a thread that falls asleep") {
  LeakCheck leaks;
  NetThreads threads(1);
  std::atomic<int> ran{0};
  Spin spin;
  Rounds rounds(100'000);
  for (int i = 0; rounds.next(); ++i) {
    threads[0].post([&](NetHandler&) { ran.store(i + 1, std::memory_order_release); });
    const Nanos give_up = monotonic_now() + kPatience;
    for (int spins = 1; ran.load(std::memory_order_acquire) != i + 1; ++spins) {
      spin.once();
      if (spins % 4096 == 0) REQUIRE_LT(monotonic_now(), give_up);
    }
    // The next post comes a little later each time, so that it meets every step towards sleep.
    std::atomic<int> delay{i % 700};
    while (delay.fetch_sub(1, std::memory_order_relaxed) > 0) {
    }
  }
}

TEST_CASE("INV-6 RE-7: posts from eight threads against a thread that sleeps whenever it can") {
  LeakCheck leaks;
  constexpr int kThreads = 8, kEach = 5000;
  NetThreads threads(1);
  std::atomic<int> ran{0};
  std::vector<std::thread> producers;
  for (int t = 0; t < kThreads; ++t) {
    producers.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        const int before = ran.load();
        threads[0].post([&](NetHandler&) { ran.fetch_add(1); });
        // Now and then wait for it, so that the net thread goes to sleep in between.
        if (i % 16 == 0) REQUIRE(wait_for([&] { return ran.load() > before; }));
      }
    });
  }
  for (auto& p : producers)
    p.join();
  CHECK(wait_for([&] { return ran == kThreads * kEach; }));
}

TEST_CASE("a task that never ran is freed with its handler") {
  LeakCheck leaks;
  auto token = std::make_shared<int>(1);
  {
    NetHandler h;
    REQUIRE_EQ(h.open(), 0);
    h.post([token](NetHandler&) { FAIL_CHECK("ran"); });
    CHECK_EQ(token.use_count(), 2);
  }
  CHECK_EQ(token.use_count(), 1);
}

TEST_CASE("INV-7 F-051: the open list knows every connection until it is closed") {
  LeakCheck leaks;
  Loop loop;
  {
    VcAndPeer a(loop, Family::kTcp4), b(loop, Family::kUnix);
    CHECK_EQ(loop.h.open_count(), 2);
    int n = 0;
    for_each_connection(loop.h, [&](NetVConnection& vc) { n += &vc == a.vc || &vc == b.vc; });
    CHECK_EQ(n, 2);
    a->do_io_close();
    CHECK_EQ(loop.h.open_count(), 1);
    CHECK_EQ(loop.h.first_open(), b.vc);
    b->do_io_close();
  }
  CHECK_EQ(loop.h.open_count(), 0);
}

}  // namespace netvc::test
