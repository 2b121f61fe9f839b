// What the observer of a connection is told besides events: drained, buffer full, closed.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"

namespace netvc::test {

namespace {

struct Observer final : VcObserver {
  void on_vc_closed(NetVConnection&, bool) override { ++closed; }
  void on_buffer_full(NetVConnection&) override { ++full; }
  void on_drained(NetVConnection& vc) override {
    ++drained;
    if (close_then) vc.do_io_close();
  }
  int closed = 0, full = 0, drained = 0;
  bool close_then = false;
};

struct Fixture {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Recorder rec;
  Observer observer;
  Buf in;

  Fixture() { c->observer = &observer; }
  void queue(size_t n) {
    const std::string s(n, 'm');
    CHECK(c->queue_write(s.data(), s.size()));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "drained: told once, when the unsent bytes have fallen to the mark") {
  faults.script(SocketOp::kWrite, c->get_socket(), {at_most(400), fail(EAGAIN)});
  queue(1000);
  c->notify_drained(500);
  CHECK_EQ(observer.drained, 0);
  loop.settle();
  CHECK_EQ(c->unsent(), 600);
  CHECK_EQ(observer.drained, 0);
  c->on_poll(kPollOut);
  loop.settle();
  CHECK_EQ(c->unsent(), 0);
  CHECK_EQ(observer.drained, 1);
  queue(10);
  loop.settle();
  CHECK_EQ(observer.drained, 1);
}

TEST_CASE_FIXTURE(Fixture, "drained: told at once when it is so already") {
  c->notify_drained(0);
  CHECK_EQ(observer.drained, 1);
}

TEST_CASE_FIXTURE(Fixture, "drained: bytes counted by their submitter are not counted again") {
  c->add_unsent(5);
  CHECK(c->queue_write("12345", 5, true));
  CHECK_EQ(c->unsent(), 5);
  loop.settle();
  CHECK_EQ(c->unsent(), 0);
  c->do_io_shutdown(Shutdown::kWrite);
  c->add_unsent(5);
  CHECK_FALSE(c->queue_write("12345", 5, true));
  CHECK_EQ(c->unsent(), 0);
}

TEST_CASE_FIXTURE(Fixture, "drained: the observer may close in it, in the middle of a write pass") {
  observer.close_then = true;
  faults.script(SocketOp::kWrite, c->get_socket(), {at_most(600)});
  queue(1000);
  c->notify_drained(500);
  REQUIRE(loop.until([&] { return !c.alive(); }));
  CHECK_EQ(observer.drained, 1);
  CHECK_EQ(observer.closed, 1);
  CHECK_EQ(c.peer.receive_all().size(), 1000);  // accepted messages still leave
}

TEST_CASE_FIXTURE(Fixture, "drained: the observer may close in it when the queue fails") {
  observer.close_then = true;
  faults.script(SocketOp::kWrite, c->get_socket(), {fail(EPIPE)});
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  rec.expect_silence();
  queue(1000);
  c->notify_drained(500);
  loop.settle();
  CHECK_EQ(observer.drained, 1);
  CHECK_FALSE(c.alive());
}

TEST_CASE_FIXTURE(Fixture, "drained: a closed connection tells it to nobody") {
  queue(1000);
  c->notify_drained(500);
  c->do_io_close(ECONNABORTED);
  loop.settle();
  CHECK_EQ(observer.drained, 0);
  CHECK_EQ(observer.closed, 1);
}

TEST_CASE_FIXTURE(Fixture, "RD-14: a full buffer is no event; the observer hears of it") {
  Buf small(0, 0);
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  c.peer.send(std::string(200, 'x'));
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(rec.story(), "RR");
  CHECK_EQ(observer.full, 1);
}

}  // namespace netvc::test
