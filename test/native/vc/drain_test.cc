// Waiting for unsent messages (when_drained), and what the observer of a connection is told.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"
#include "support/notices.h"

namespace netvc::test {

namespace {

struct Observer final : VcObserver {
  void on_vc_closed(NetVConnection&, bool) override { ++closed; }
  void on_buffer_full(NetVConnection&) override { ++full; }
  int closed = 0, full = 0;
};

struct Fixture {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Recorder rec;
  Observer observer;
  Notices drained;
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
  c->when_drained(500, drained.notice());
  CHECK(drained.codes.empty());
  loop.settle();
  CHECK_EQ(c->unsent(), 600);
  CHECK(drained.codes.empty());
  c->on_poll(kPollOut);
  loop.settle();
  CHECK_EQ(c->unsent(), 0);
  CHECK_EQ(drained.codes, std::vector<int>{0});
  queue(10);
  loop.settle();
  CHECK_EQ(drained.codes, std::vector<int>{0});
}

TEST_CASE_FIXTURE(Fixture, "drained: told at once when it is so already") {
  c->when_drained(0, drained.notice());
  CHECK_EQ(drained.codes, std::vector<int>{0});
}

TEST_CASE_FIXTURE(Fixture, "drained: several wait, each for its own mark") {
  Notices all;
  faults.script(SocketOp::kWrite, c->get_socket(), {at_most(600), fail(EAGAIN)});
  queue(1000);
  c->when_drained(0, all.notice());
  c->when_drained(500, drained.notice());
  loop.settle();
  CHECK_EQ(drained.codes, std::vector<int>{0});
  CHECK(all.codes.empty());
  c->on_poll(kPollOut);
  loop.settle();
  CHECK_EQ(all.codes, std::vector<int>{0});
}

TEST_CASE_FIXTURE(Fixture, "drained: told the error when the queue fails") {
  faults.script(SocketOp::kWrite, c->get_socket(), {fail(EPIPE)});
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  queue(1000);
  c->when_drained(500, drained.notice());
  loop.settle();
  CHECK_EQ(drained.codes, std::vector<int>{EPIPE});
}

TEST_CASE_FIXTURE(Fixture, "drained: told that it was closed") {
  queue(1000);
  c->when_drained(500, drained.notice());
  c->do_io_close(ECONNABORTED);
  loop.settle();
  CHECK_EQ(drained.codes, std::vector<int>{ENET_CLOSED});
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
