// The keep-alive and the active queue (KQ-*, INV-20).
#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/loop.h"

namespace netvc::test {

namespace {

constexpr Nanos kPast = 1;  // a timeout that is over at once

/// A continuation that answers an eviction like JavaScript: later, or never.
struct Later final : Recorder {
  using Recorder::Recorder;
  bool answers_later() const override { return true; }
};

struct Member {
  explicit Member(Loop& loop) : c(loop, Family::kUnix) {}
  Member(Loop& loop, Recorder& told) : c(loop, Family::kUnix) {
    c->do_io_read(&told, VIO::kUnlimited, in.m);
  }
  VcAndPeer c;
  Buf in;
};

struct Fixture {
  LeakCheck leaks;
  Loop loop;
  std::vector<std::unique_ptr<Recorder>> told;
  std::vector<std::unique_ptr<Member>> members;
  std::vector<size_t> evicted;  // in order

  ConnectionQueues& q() { return loop.h.queues; }
  NetVConnection& at(size_t i) { return *members[i]->c.vc; }
  bool alive(size_t i) { return members[i]->c.alive(); }

  /// closes: what it does when it is evicted.
  void add(bool closes = true) {
    const size_t i = members.size();
    told.push_back(std::make_unique<Recorder>());
    members.push_back(std::make_unique<Member>(loop, *told.back()));
    told.back()->react = [this, i, closes](Event e, VIO* vio) {
      if (e != Event::kInactivityTimeout) return;
      evicted.push_back(i);
      if (closes) vio->vc_server->do_io_close();
    };
  }
  void add_many(size_t n, bool closes = true) {
    while (n-- > 0)
      add(closes);
  }
};

using Order = std::vector<size_t>;

}  // namespace

TEST_CASE("KQ-1 B-11: the share of a thread; 0 is no limit, and no limit becomes 0") {
  const QueueLimits total{10, 3};
  CHECK_EQ(total.share(1).connections, 10);
  CHECK_EQ(total.share(4).connections, 2);
  CHECK_EQ(total.share(4).active, 1);
  CHECK_EQ(QueueLimits{}.share(4).connections, 0);
}

TEST_CASE_FIXTURE(Fixture, "KQ-2 INV-20 F-064: the oldest goes first, as many as are too many") {
  q().set_limits({.connections = 3});
  add_many(5);
  for (size_t i = 0; i < 5; ++i)
    CHECK(at(i).add_to_keep_alive_queue());
  CHECK_EQ(evicted, Order{0, 1});
  CHECK_FALSE(alive(0));
  CHECK(alive(2));
  CHECK_EQ(q().keep_alive(), 3);
}

TEST_CASE_FIXTURE(Fixture, "KQ-2: who is added again waits from now on") {
  q().set_limits({.connections = 3});
  add_many(4);
  for (size_t i : {0, 1, 2, 0, 3})
    at(i).add_to_keep_alive_queue();
  CHECK_EQ(evicted, Order{1});
}

TEST_CASE_FIXTURE(Fixture, "KQ-2 INV-20: the new one can be its own victim") {
  q().set_limits({.connections = 2});
  add_many(3);
  CHECK(at(0).add_to_active_queue());
  CHECK(at(1).add_to_active_queue());
  CHECK_FALSE(at(2).add_to_keep_alive_queue());
  CHECK_EQ(evicted, Order{2});
  CHECK_FALSE(alive(2));
  CHECK_EQ(q().active(), 2);
}

TEST_CASE_FIXTURE(Fixture, "KQ-4 INV-20: one that stays still counts, and the next one is asked") {
  q().set_limits({.connections = 2});
  add(false);
  add_many(3);
  for (size_t i = 0; i < 4; ++i)
    at(i).add_to_keep_alive_queue();
  // 0 stayed when 2 came, so 1 went; again when 3 came, so 2 went.
  CHECK_EQ(evicted, Order{0, 1, 0, 2});
  CHECK(alive(0));
  CHECK(alive(3));
}

TEST_CASE_FIXTURE(Fixture,
                  "KQ-4: while one is leaving nobody else has to, however often it is asked") {
  Later later;
  std::vector<std::unique_ptr<Member>> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(std::make_unique<Member>(loop, later));
    waiting.back()->c->add_to_keep_alive_queue();
  }
  for (int i = 0; i < 10; ++i)
    CHECK(q().evict_oldest());
  CHECK_EQ(loop.h.counters.keep_alive_evicted.get(), 1);
  CHECK_EQ(loop.h.counters.leaving.get(), 1);
  waiting[0]->c->do_io_close();  // it has gone: the next one may have to
  CHECK_EQ(loop.h.counters.leaving.get(), 0);
  CHECK(q().evict_oldest());
  CHECK_EQ(loop.h.counters.keep_alive_evicted.get(), 2);
  for (auto& m : waiting)
    if (m->c.alive()) m->c->do_io_close();
}

TEST_CASE_FIXTURE(Fixture, "KQ-4: who answers later counts as gone, so that one costs one") {
  q().set_limits({.connections = 2});
  Later later;
  for (int i = 0; i < 4; ++i)
    members.push_back(std::make_unique<Member>(loop, later));
  for (size_t i = 0; i < 3; ++i)
    at(i).add_to_keep_alive_queue();
  CHECK_EQ(later.count(Event::kInactivityTimeout), 1);
  at(3).add_to_keep_alive_queue();
  CHECK_EQ(later.count(Event::kInactivityTimeout), 2);
  CHECK_EQ(q().keep_alive(), 4);
  at(0).do_io_close();
  at(1).add_to_keep_alive_queue();  // it stays: as a new one, and 2 goes for it
  CHECK_EQ(later.count(Event::kInactivityTimeout), 3);
  // One that never answers is asked again.
  REQUIRE(loop.until([&] { return later.count(Event::kInactivityTimeout) >= 4; }));
}

TEST_CASE_FIXTURE(Fixture,
                  "KQ-4 B-11: told although it has no timeout; closed if nobody hears it") {
  q().set_limits({.connections = 1});
  add();
  members.push_back(std::make_unique<Member>(loop));  // nothing is armed
  add();
  CHECK_EQ(at(0).get_inactivity_timeout(), 0);
  for (size_t i = 0; i < 3; ++i)
    at(i).add_to_keep_alive_queue();
  CHECK_EQ(evicted, Order{0});
  CHECK_FALSE(alive(1));
  CHECK(alive(2));
}

TEST_CASE_FIXTURE(Fixture, "KQ-3 INV-20 F-065: room, then those that are overdue, then no") {
  q().set_limits({.active = 2});
  add_many(5);
  CHECK(at(0).add_to_active_queue());
  CHECK(at(1).add_to_active_queue());
  CHECK_FALSE(at(2).add_to_active_queue());
  CHECK_EQ(q().active(), 2);
  CHECK(at(0).add_to_active_queue());  // in it already
  CHECK(evicted.empty());
  at(2).add_to_keep_alive_queue();
  CHECK_FALSE(at(2).add_to_active_queue());
  CHECK_EQ(q().keep_alive(), 1);  // nothing has changed

  at(0).set_active_timeout(kPast);
  at(1).set_inactivity_timeout(kPast);
  CHECK(at(3).add_to_active_queue());
  CHECK_EQ(evicted, Order{1});  // the head, since 0 moved to the tail; one was enough
  CHECK(alive(0));
  CHECK(at(4).add_to_active_queue());
  CHECK_EQ(evicted, Order{1, 0});
}

TEST_CASE_FIXTURE(Fixture,
                  "KQ-3: never the caller itself; an admitted one leaves the other queue") {
  q().set_limits({.active = 1});
  add_many(2);
  at(0).add_to_keep_alive_queue();
  at(0).set_inactivity_timeout(kPast);
  CHECK(at(0).add_to_active_queue());
  CHECK_EQ(q().keep_alive(), 0);
  CHECK(at(0).add_to_active_queue());
  CHECK(alive(0));
  CHECK(evicted.empty());
  at(0).add_to_keep_alive_queue();
  CHECK_EQ(q().active(), 0);
}

TEST_CASE_FIXTURE(Fixture, "KQ-1 F-066: limits change while it runs") {
  add_many(6);
  for (size_t i = 0; i < 6; ++i)
    at(i).add_to_keep_alive_queue();
  CHECK(evicted.empty());  // 0: no limit (B-11)
  q().set_limits({.connections = 4});
  CHECK_EQ(evicted, Order{0, 1});
  q().set_limits({});
  at(2).add_to_keep_alive_queue();
  CHECK_EQ(q().keep_alive(), 4);
}

TEST_CASE_FIXTURE(Fixture,
                  "KQ-5: closed, released or moved is in no queue; removing twice is harmless") {
  add_many(3);
  at(0).add_to_keep_alive_queue();
  at(1).add_to_active_queue();
  at(2).add_to_keep_alive_queue();
  CHECK_EQ(loop.h.counters.keep_alive.get(), 2);
  CHECK_EQ(loop.h.counters.active.get(), 1);
  at(0).do_io_close();
  at(1).do_io_close();
  at(2).remove_from_queues();
  at(2).remove_from_queues();
  CHECK_EQ(q().keep_alive() + q().active(), 0);
  CHECK_EQ(loop.h.counters.keep_alive.get() + loop.h.counters.active.get(), 0);
  NetHandler other;
  REQUIRE_EQ(other.open(), 0);
  at(2).add_to_keep_alive_queue();
  at(2).do_io_read(nullptr, 0, nullptr);
  bool moved = false;
  at(2).move_to(other, [&](NetVConnection* vc) { moved = vc != nullptr; });
  other.turn(0);
  CHECK(moved);
  CHECK_EQ(q().keep_alive() + other.queues.keep_alive(), 0);
  other.shut_down();
}

TEST_CASE_FIXTURE(Fixture,
                  "KQ-6 F-067: evictions and how long the victims had waited are counted") {
  q().set_limits({.connections = 1});
  add_many(2);
  const Nanos from = at(0).last_activity();
  at(0).add_to_keep_alive_queue();
  at(1).add_to_keep_alive_queue();
  CHECK_EQ(loop.h.counters.keep_alive_evicted.get(), 1);
  CHECK_GT(loop.h.counters.keep_alive_idle.get(), 0);
  CHECK_LE(loop.h.counters.keep_alive_idle.get(), monotonic_now() - from);
}

TEST_CASE_FIXTURE(Fixture, "KQ-2: a victim may close others, add others, and itself again") {
  q().set_limits({.connections = 3});
  add_many(6, false);
  told[0]->react = [&](Event, VIO*) {
    evicted.push_back(0);
    at(1).do_io_close();  // the next one of the walk
    at(4).add_to_keep_alive_queue();
    at(0).add_to_keep_alive_queue();
  };
  told[2]->react = [&](Event, VIO* vio) {
    evicted.push_back(2);
    vio->vc_server->do_io_close();
    at(5).do_io_close();
  };
  for (size_t i : {0, 1, 2})
    at(i).add_to_keep_alive_queue();
  CHECK(at(3).add_to_keep_alive_queue());
  // 0 goes to the tail behind 4; 1 is gone; 2 goes: 3, 4, 0 are left.
  CHECK_EQ(evicted, Order{0, 2});
  CHECK_EQ(q().keep_alive(), 3);
  CHECK(alive(3));
  CHECK(alive(4));
  CHECK(alive(0));
}

TEST_CASE_FIXTURE(Fixture, "KQ-2: a victim that closes the one that comes") {
  q().set_limits({.active = 1});
  add_many(2, false);
  CHECK(at(0).add_to_active_queue());
  at(0).set_active_timeout(kPast);
  told[0]->react = [&](Event, VIO* vio) {
    at(1).do_io_close();
    vio->vc_server->do_io_close();
  };
  CHECK_FALSE(at(1).add_to_active_queue());
  CHECK_FALSE(alive(1));
  CHECK_EQ(q().active(), 0);
}

}  // namespace netvc::test
