// The inactivity and the active timeout of a connection (TO-*, INV-14, INV-15).
#include "vc/timeouts.h"

#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"
#include "support/net_threads.h"

namespace netvc::test {

namespace {

constexpr Nanos kShort = 20 * kMillisecond;
constexpr Nanos kLong = 3600 * kSecond;

struct Fixture {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Recorder rec, other;
  Buf in, out;

  void read_into(Recorder& r) { c->do_io_read(&r, VIO::kUnlimited, in.m); }
  void write_from(Recorder& r) { c->do_io_write(&r, VIO::kUnlimited, out.r); }
  static int timeouts(const Recorder& r) {
    return r.count(Event::kInactivityTimeout) + r.count(Event::kActiveTimeout);
  }
  bool told(const Recorder& r, Event e, int n = 1) {
    return loop.until([&] { return r.count(e) >= n; });
  }
  /// As long as a timeout of kShort would have needed, with room.
  void wait_in_vain() {
    const Nanos until = monotonic_now() + 3 * kShort;
    loop.until([&] { return monotonic_now() > until; });
  }
};

}  // namespace

TEST_CASE(
    "TO-4: a check is after the deadline, at most a 32nd of the timeout and at most 1 s later") {
  for (const Nanos value : {kMillisecond, kShort, kSecond, 60 * kSecond, kLong}) {
    for (const Nanos due : {Nanos{1}, kMillisecond, kSecond, kLong, kLong + 12345}) {
      const Nanos at = check_time(due, value);
      CHECK_GT(at, due);
      CHECK_LE(at - due, std::max(kMillisecond, std::min(kSecond, value / 32)));
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "TO-1 TO-10 INV-14: inactivity is told once, and never early") {
  read_into(rec);
  loop.settle();
  const Nanos set = monotonic_now();
  c->set_inactivity_timeout(kShort);
  CHECK_EQ(c->get_inactivity_timeout(), kShort);
  REQUIRE(told(rec, Event::kInactivityTimeout));
  CHECK_GT(monotonic_now() - set, kShort);
  wait_in_vain();
  CHECK_EQ(rec.story(), "IT");
  CHECK_EQ(rec.told[0].side, Side::kRead);
  CHECK_FALSE(c->closed_now());
  c.peer.send("x");
  REQUIRE(told(rec, Event::kReadReady));
}

TEST_CASE_FIXTURE(Fixture, "TO-6 INV-14: each byte starts inactivity anew; after it was told too") {
  read_into(rec);
  loop.settle();
  c->set_inactivity_timeout(kShort);
  Nanos last = monotonic_now();
  rec.react = [&](Event e, VIO*) {
    in.take();
    if (e == Event::kInactivityTimeout) CHECK_GT(monotonic_now() - last, kShort);
  };
  // Several times as long as the timeout; on a slow machine it may come, but not early.
  for (const Nanos until = last + 5 * kShort; monotonic_now() < until;) {
    last = monotonic_now();
    c.peer.send("x");
    const int before = rec.count(Event::kReadReady);
    REQUIRE(told(rec, Event::kReadReady, before + 1));
  }
  rec.forget();
  REQUIRE(told(rec, Event::kInactivityTimeout));
  CHECK_GT(monotonic_now() - last, kShort);
  last = monotonic_now();
  c.peer.send("x");
  REQUIRE(told(rec, Event::kInactivityTimeout, 2));
  CHECK_GT(monotonic_now() - last, kShort);
}

TEST_CASE_FIXTURE(Fixture, "B-76: the active timeout comes although bytes move all the time") {
  rec.react = [&](Event e, VIO*) {
    in.take();
    if (e == Event::kReadReady) c.peer.send("x");
  };
  read_into(rec);
  c.peer.send("x");
  const Nanos set = monotonic_now();
  c->set_active_timeout(5 * kShort);
  c->set_inactivity_timeout(4 * kShort);
  REQUIRE(told(rec, Event::kActiveTimeout));
  CHECK_GT(monotonic_now() - set, 5 * kShort);
  CHECK_GT(rec.count(Event::kReadReady), 0);
  CHECK_EQ(rec.count(Event::kActiveTimeout), 1);
}

TEST_CASE_FIXTURE(Fixture, "TO-2: setting again starts over; 0 cancels") {
  read_into(rec);
  c->set_inactivity_timeout(kShort);
  c->set_inactivity_timeout(kLong);
  c->set_active_timeout(kShort);
  c->cancel_active_timeout();
  wait_in_vain();
  CHECK_EQ(rec.story(), "");
  CHECK_EQ(c->get_active_timeout(), 0);
  CHECK_EQ(c->get_inactivity_timeout(), kLong);
  c->set_inactivity_timeout(kShort);  // earlier than its timer
  REQUIRE(told(rec, Event::kInactivityTimeout));
  c->cancel_inactivity_timeout();
  c->cancel_inactivity_timeout();
  CHECK_EQ(c->get_inactivity_timeout(), 0);
}

TEST_CASE_FIXTURE(Fixture, "TO-5: both due, inactivity first, the active one at the next check") {
  read_into(rec);
  loop.settle();
  c->set_active_timeout(kMillisecond);
  c->set_inactivity_timeout(kMillisecond);
  const Nanos until = monotonic_now() + 10 * kMillisecond;
  while (monotonic_now() < until) {
  }
  REQUIRE(told(rec, Event::kActiveTimeout));
  CHECK_EQ(rec.story(), "IT AT");
}

TEST_CASE_FIXTURE(
    Fixture, "TO-7 RE-1: with nothing enabled inactivity stands still, and starts when enabled") {
  c->do_io_read(&rec, 1, in.m);
  c->set_inactivity_timeout(kShort);
  c.peer.send("x");
  REQUIRE(told(rec, Event::kReadComplete));
  wait_in_vain();
  CHECK_EQ(rec.count(Event::kInactivityTimeout), 0);
  CHECK_EQ(c->get_inactivity_timeout(), kShort);
  const Nanos enabled = monotonic_now();
  c->read_vio.nbytes = 2;
  rec.reopened(Side::kRead);
  c->reenable(&c->read_vio);
  REQUIRE(told(rec, Event::kInactivityTimeout));
  CHECK_GT(monotonic_now() - enabled, kShort);
}

TEST_CASE_FIXTURE(Fixture, "B-55: reenabling what is enabled does not start the clock anew") {
  read_into(rec);
  loop.settle();
  c->set_inactivity_timeout(kShort);
  REQUIRE(loop.until([&] {
    c->reenable(&c->read_vio);
    return rec.has(Event::kInactivityTimeout);
  }));
}

// Who is told, for every combination (TO-8, TO-9).
TEST_CASE("INV-15: the sixteen cases of who is told") {
  for (int row = 0; row < 16; ++row) {
    const bool reads = row & 1, writes = row & 2, same = row & 4, shut = row & 8;
    CAPTURE(reads);
    CAPTURE(writes);
    CAPTURE(same);
    CAPTURE(shut);
    for (const TimeoutKind kind : {TimeoutKind::kInactivity, TimeoutKind::kActive}) {
      Fixture f;
      Recorder& writer = same ? f.rec : f.other;
      if (reads) f.read_into(f.rec);
      if (writes) f.write_from(writer);
      if (shut) f.c->do_io_shutdown(Shutdown::kRead);
      f.loop.settle();
      f.rec.forget();
      f.other.forget();
      f.c->set_timeout(kind, kMillisecond);

      const int reader_told = reads && !shut ? 1 : 0;
      const int writer_told = writes && !(same && reader_told) ? 1 : 0;
      if (reader_told + writer_told > 0) {
        REQUIRE(f.loop.until(
            [&] { return f.timeouts(f.rec) + f.timeouts(f.other) == reader_told + writer_told; }));
      }
      f.wait_in_vain();
      CHECK_EQ(f.timeouts(f.rec), reader_told + (same ? writer_told : 0));
      CHECK_EQ(f.timeouts(f.other), same ? 0 : writer_told);
      if (writer_told) CHECK_EQ(writer.told.back().side, Side::kWrite);
      CHECK_FALSE(f.c->closed_now());
      CHECK_NE(f.c->get_timeout(kind), 0);
    }
  }
}

TEST_CASE_FIXTURE(
    Fixture, "TO-8: the writer is not told when the reader closed, set it again, or replaced him") {
  int what = 0;
  SUBCASE("closed") { what = 0; }
  SUBCASE("set again") { what = 1; }
  SUBCASE("replaced") { what = 2; }
  Recorder third;
  rec.react = [&](Event e, VIO*) {
    if (e != Event::kActiveTimeout) return;
    if (what == 0) c->do_io_close();
    if (what == 1 && rec.count(e) == 1) c->set_active_timeout(kLong);
    if (what == 2) c->do_io_write(&third, VIO::kUnlimited, out.r);
  };
  read_into(rec);
  write_from(other);
  loop.settle();
  c->set_active_timeout(kMillisecond);
  REQUIRE(told(rec, Event::kActiveTimeout));
  wait_in_vain();
  CHECK_EQ(rec.count(Event::kActiveTimeout), 1);
  CHECK_EQ(timeouts(other) + timeouts(third), 0);
  CHECK_EQ(c.alive(), what != 0);
}

TEST_CASE_FIXTURE(Fixture, "TO-14: closing and setting again inside the handler, in every way") {
  int times = 0;
  rec.react = [&](Event e, VIO*) {
    if (e != Event::kActiveTimeout) return;
    if (++times < 3) return c->set_active_timeout(kMillisecond);
    c->set_inactivity_timeout(kMillisecond);
    c->do_io_close();
    c->set_active_timeout(kMillisecond);
    rec.expect_silence();
  };
  read_into(rec);
  c->set_active_timeout(kMillisecond);
  REQUIRE(loop.until([&] { return !c.alive(); }));
  CHECK_EQ(times, 3);
  wait_in_vain();
}

TEST_CASE_FIXTURE(Fixture, "TO-9: without an operation, or with a cancelled one, it is dropped") {
  c->set_active_timeout(kMillisecond);
  wait_in_vain();
  read_into(rec);
  c->do_io_read(nullptr, 0, nullptr);
  c->set_active_timeout(kMillisecond);
  wait_in_vain();
  CHECK_EQ(rec.story(), "");
  CHECK(c.alive());
}

TEST_CASE_FIXTURE(Fixture, "TO-12: a continuation that takes nothing now is told later") {
  struct Busy final : Recorder {
    bool busy = true;
    bool can_take_event() const override { return !busy; }
  } busy;
  loop.exact_lists = false;
  c->do_io_read(&busy, VIO::kUnlimited, in.m);
  c->set_active_timeout(kMillisecond);
  wait_in_vain();
  CHECK_EQ(busy.story(), "");
  busy.busy = false;
  REQUIRE(loop.until([&] { return busy.has(Event::kActiveTimeout); }));
}

TEST_CASE_FIXTURE(Fixture,
                  "waiting messages count as enabled: a peer that takes nothing is inactive") {
  Faults faults;
  faults.always(SocketOp::kWrite, c->get_socket(), fail(EAGAIN));
  write_from(rec);
  loop.settle();
  c->set_inactivity_timeout(kShort);
  CHECK(c->queue_write("abc", 3));
  REQUIRE(told(rec, Event::kInactivityTimeout));
}

TEST_CASE("MG-2: timeouts go along when a connection moves to another thread") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  NetThreadPool pool;
  REQUIRE_EQ(pool.start(1), 0);
  struct Atomic final : Continuation {
    std::atomic<int> told{0};
    int handle_event(Event e, VIO* vio) override {
      if (e == Event::kActiveTimeout) {
        vio->vc_server->do_io_close();
        told.store(1, std::memory_order_release);  // pairs with the test's load
      }
      return 0;
    }
  } cont;
  Buf in;
  c->set_active_timeout(kShort);
  c->move_to(pool.handler(0), [&](NetVConnection* vc) {
    if (vc) vc->do_io_read(&cont, VIO::kUnlimited, in.m);
  });
  CHECK(loop.until([&] { return cont.told.load(std::memory_order_acquire) == 1; }));
  CHECK(loop.until([&] { return !c.alive(); }));
  pool.stop();
}

TEST_CASE("TO-13 B-7: while it connects a connection is told no timeout") {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  loop.exact_lists = false;  // its directions are armed before it is connected
  faults.script(SocketOp::kConnect, Faults::kAnyFd, {fail(EINPROGRESS)});
  Recorder rec;
  Buf in;
  struct Outcome final : ConnectHandler {
    void on_open(NetVConnection&) override { FAIL("nobody listens"); }
    void on_open_failed(ConnectError e) override { error = e.code; }
    int error = 0;
  } told;
  Connection con;
  REQUIRE_EQ(con.open(loopback(Family::kTcp4, 1), {}), 0);
  NetVConnection* vc = NetVConnection::create(std::move(con), VcContext::kOutbound);
  REQUIRE(vc != nullptr);
  REQUIRE_EQ(vc->attach(loop.h), 0);
  vc->do_io_read(&rec, VIO::kUnlimited, in.m);
  vc->set_inactivity_timeout(kMillisecond);
  vc->set_active_timeout(kMillisecond);
  REQUIRE_EQ(vc->issue_connect({}), 0);
  // Its deadline, by the same clock and after theirs, is the only thing that is told.
  vc->wait_connected(&told, 2 * kShort);
  REQUIRE(loop.until([&] { return told.error != 0; }));
  CHECK_EQ(told.error, ENET_CONNECT_TIMEOUT);
  CHECK_EQ(rec.story(), "");
}

TEST_CASE_FIXTURE(Fixture, "time_exactly: last_activity is not before the byte") {
  read_into(rec);
  loop.settle();
  c->time_exactly();
  c.peer.send("x");
  const Nanos sent = monotonic_now();
  REQUIRE(told(rec, Event::kReadReady));
  CHECK_GT(c->last_activity(), sent);
}

TEST_CASE_FIXTURE(Fixture, "AP-5 F-154: idle for longer than its listener allows, it fails") {
  read_into(rec);
  c->set_timeout(TimeoutKind::kIdle, kShort);
  const Nanos first = monotonic_now();
  loop.until([&] { return monotonic_now() > first + kShort / 2; });
  c.peer.send("x");
  REQUIRE(told(rec, Event::kReadReady));
  const Nanos last = c->last_activity();
  rec.react = [&](Event, VIO* vio) { vio->vc_server->do_io_close(); };
  REQUIRE(told(rec, Event::kError));
  CHECK_GT(monotonic_now() - last, kShort);
  CHECK_EQ(rec.told.back().lerrno, EUNUSED);
  CHECK_FALSE(c.alive());
}

TEST_CASE_FIXTURE(Fixture, "AP-5: also when nothing is armed, then it is closed") {
  c->set_timeout(TimeoutKind::kIdle, kShort);
  REQUIRE(loop.until([&] { return !c.alive(); }));
}

TEST_CASE_FIXTURE(Fixture, "AP-5: bytes that leave count too; cancelled, it stays") {
  write_from(rec);
  c->set_timeout(TimeoutKind::kIdle, kShort);
  for (const Nanos until = monotonic_now() + 3 * kShort; monotonic_now() < until;) {
    REQUIRE(c.alive());
    c->queue_write("x", 1);
    loop.turn();
  }
  c->set_timeout(TimeoutKind::kIdle, 0);
  wait_in_vain();
  CHECK(c.alive());
}

}  // namespace netvc::test
