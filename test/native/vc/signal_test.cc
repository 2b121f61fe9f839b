// Signalling: who is told, what a handler may do, and when the connection is freed.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"

namespace netvc::test {

namespace {

struct Listener final : VcObserver {
  void on_vc_closed(NetVConnection&, bool by_itself) override {
    ++told;
    alone = by_itself;
  }
  int told = 0;
  bool alone = false;
};

struct Fixture {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Recorder rec;
  Buf in, out;

  void hear(const std::string& s) {
    c.peer.send(s);
    loop.see(c->get_socket(), POLLIN);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "SIG-1: what the handler answers does not decide over the connection") {
  struct Done final : Continuation {
    int handle_event(Event, VIO*) override { return ++calls, 1; }
    int calls = 0;
  } done;
  c->do_io_read(&done, VIO::kUnlimited, in.m);
  hear("abc");
  hear("def");
  CHECK_EQ(done.calls, 2);
  CHECK(c.alive());
}

TEST_CASE_FIXTURE(
    Fixture, "SIG-2 F-029: failed with nobody armed, the connection closes itself and says so") {
  Faults faults;
  Listener listener;
  c->observer = &listener;
  faults.script(SocketOp::kWrite, c->get_socket(), {fail(ETIMEDOUT)});
  CHECK(c->queue_write("message", 7));
  loop.settle();
  CHECK_FALSE(c.alive());
  CHECK_EQ(listener.told, 1);
  CHECK(listener.alone);
}

TEST_CASE_FIXTURE(Fixture,
                  "SIG-2: a reader meets the end by itself when a message cannot be sent") {
  Faults faults;
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  c.peer.reset();
  faults.script(SocketOp::kWrite, c->get_socket(), {fail(ECONNRESET)});
  CHECK(c->queue_write("message", 7));
  loop.settle();
  CHECK_EQ(rec.story(), "EOS");
  CHECK_EQ(c->lerrno, ECONNRESET);
  CHECK_FALSE(c->can_send());
}

TEST_CASE_FIXTURE(
    Fixture, "SIG-2: EOS that nobody is armed for keeps the connection, and waits to be told") {
  c.peer.close();
  loop.see(c->get_socket(), POLLRDHUP);
  CHECK(c.alive());
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(rec.story(), "EOS");
}

TEST_CASE_FIXTURE(Fixture, "SIG-3: the side is disabled before the terminal event is told") {
  rec.react = [&](Event, VIO* vio) { CHECK_FALSE(vio->enabled); };
  c->do_io_read(&rec, 3, in.m);
  out.put("x");
  c->do_io_write(&rec, 1, out.r);
  hear("abc");
  CHECK_EQ(rec.endings(Side::kRead), "RC");
  CHECK_EQ(rec.endings(Side::kWrite), "WC");
}

TEST_CASE_FIXTURE(Fixture,
                  "SIG-3: re-armed inside WRITE_COMPLETE the next operation needs no new edge") {
  int rounds = 3;
  rec.react = [&](Event, VIO*) {
    if (--rounds == 0) return;
    out.put("x");
    c->do_io_write(&rec, 1, out.r);
  };
  out.put("x");
  c->do_io_write(&rec, 1, out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "WC WC WC");
}

TEST_CASE_FIXTURE(Fixture, "SIG-5: a handler works on other connections, closing them included") {
  VcAndPeer d(loop, Family::kUnix);
  Recorder others;
  Buf other_in;
  d->do_io_read(&others, VIO::kUnlimited, other_in.m);
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  rec.react = [&](Event, VIO*) {
    others.expect_silence();
    d->do_io_close();
  };
  // Both become ready in one batch; c was registered first and comes first.
  c.peer.send("x");
  d.peer.send("y");
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  loop.settle();
  CHECK_EQ(rec.story(), "RR");
  CHECK_FALSE(d.alive());
}

TEST_CASE_FIXTURE(Fixture, "SIG-6 RE-5: close at depth 2 only marks; the outermost frame frees") {
  out.put("x");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  rec.forget();
  int depth = 0, deepest = 0;
  rec.react = [&](Event e, VIO*) {
    deepest = std::max(deepest, ++depth);
    if (e == Event::kReadReady) {
      CHECK_EQ(c->recursion(), 1);
      out.put("y");
      c->reenable_re(&c->write_vio);  // runs the write activation here: WRITE_READY nests
      CHECK(c.alive());
      CHECK(c->closed_now());
    } else {
      CHECK_EQ(c->recursion(), 2);
      rec.expect_silence();
      c->do_io_close();
      CHECK(c.alive());
    }
    --depth;
  };
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.send("abc");
  REQUIRE(loop.until([&] { return !c.alive(); }));
  CHECK_EQ(deepest, 2);
  CHECK_EQ(rec.story(), "RR WR");
}

TEST_CASE_FIXTURE(
    Fixture, "SIG-6: closed inside a callback with messages queued, reenable_re does nothing") {
  rec.react = [&](Event, VIO*) {
    CHECK(c->queue_write("message", 7));
    rec.expect_silence();
    c->do_io_close();
    c->reenable_re(&c->write_vio);  // user errors on a closed connection are ignored (RE-2)
    c->reenable_re(&c->write_vio);
    c->reenable_re(&c->read_vio);
    CHECK(c.alive());
  };
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.send("abc");
  REQUIRE(loop.until([&] { return !c.alive(); }));
  CHECK_EQ(c.peer.receive_all(), "message");
}

TEST_CASE_FIXTURE(
    Fixture, "SIG-7 CL-2: closed by the read side, the write side of the same turn is silent") {
  rec.react = [&](Event, VIO*) {
    rec.expect_silence();
    c->do_io_close();
  };
  out.put("x");
  c.peer.send("abc");
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c->do_io_write(&rec, 1, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "RR");
  CHECK_FALSE(c.alive());
}

TEST_CASE_FIXTURE(Fixture,
                  "SIG-6 INV-3: READ_COMPLETE nested in READ_READY ends the operation once") {
  rec.react = [&](Event e, VIO* vio) {
    if (e != Event::kReadReady) return;
    c.peer.send("def");
    REQUIRE(wait_fd(c->get_socket(), POLLIN));
    c->read.triggered = true;
    c->reenable_re(vio);
  };
  c->do_io_read(&rec, 6, in.m);
  hear("abc");
  CHECK_EQ(rec.story(), "RR RC");
  CHECK_EQ(in.take(), "abcdef");
}

TEST_CASE_FIXTURE(Fixture,
                  "SIG-2: after closing itself the connection holds no buffer of the user") {
  Faults faults;
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  c->do_io_read(nullptr, 10, in.m);
  faults.script(SocketOp::kWrite, c->get_socket(), {fail(ETIMEDOUT)});
  c->queue_write("message", 7);
  loop.settle();
  CHECK(c->closed_now());
  CHECK_EQ(in.m->ref_count(), 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "F-055: a continuation that takes no event is given none, and loses none") {
  struct Full final : Recorder {
    bool can_take_event() const override { return !full; }
    void resume_later(VConnection&, Side s) override { waits |= 1u << static_cast<unsigned>(s); }
    bool full = true;
    unsigned waits = 0;
  } full;
  loop.exact_lists = false;
  out.put("x");
  c->do_io_read(&full, VIO::kUnlimited, in.m);
  c->do_io_write(&full, 1, out.r);
  hear("abc");
  CHECK_EQ(full.story(), "");
  CHECK_EQ(full.waits, 3);
  CHECK_EQ(in.avail(), 0);
  CHECK_FALSE(loop.h.has_work());
  full.full = false;
  c->reenable(&c->read_vio);
  c->reenable(&c->write_vio);
  loop.settle();
  CHECK_EQ(full.story(), "RR WC");
}

}  // namespace netvc::test
