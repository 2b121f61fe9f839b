// Commands from other threads (vc/remote.h), and moving between net threads.
#include <atomic>

#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/net_threads.h"
#include "vc/remote.h"

namespace netvc::test {

namespace {

// A connection on a net thread, with the plain socket at its other end.
struct Remote {
  Remote(NetHandler& home, Family f) {
    FdPair p = fd_pair(f);
    peer = RawPeer(std::move(p.b));
    id = on(home, [&](NetHandler& h) { return adopt(h, std::move(p.a))->id(); });
  }
  RawPeer peer;
  VersionedId id = 0;
};

}  // namespace

TEST_CASE("VC-13: a command runs on the connection's thread; a stale id answers false") {
  LeakCheck leaks;
  NetThreads threads(2);
  Remote c(threads[1], Family::kTcp4);
  std::promise<bool> ran;
  CHECK(remote::post(c.id, [&](NetVConnection& vc) {
    ran.set_value(vc.handler == &threads[1] && vc.handler->in_thread() && vc.id() == c.id);
  }));
  CHECK(ran.get_future().get());
  CHECK(remote::close(c.id));
  CHECK(c.peer.receive_all().empty());
  REQUIRE(wait_for([&] { return !NetVConnection::pool().address(c.id); }));
  CHECK_FALSE(remote::post(c.id, [](NetVConnection&) { FAIL_CHECK("ran"); }));
  CHECK_FALSE(remote::reenable(c.id, Side::kRead));
  CHECK_FALSE(remote::close(c.id));
}

TEST_CASE("VC-13: a connection that was never attached has no thread to run on") {
  LeakCheck leaks;
  FdPair p = fd_pair(Family::kUnix);
  Connection con;
  REQUIRE_EQ(con.adopt(p.a.release()), 0);
  NetVConnection* vc = NetVConnection::create(std::move(con), VcContext::kInbound);
  CHECK_FALSE(remote::post(vc->id(), [](NetVConnection&) {}));
  vc->release();
}

TEST_CASE("AD-1: commands of one thread are applied in its order") {
  LeakCheck leaks;
  NetThreads threads(1);
  Remote c(threads[0], Family::kUnix);
  for (char x = 'a'; x <= 'z'; ++x) {
    remote::post(c.id, [x](NetVConnection& vc) { vc.queue_write(&x, 1); });
  }
  CHECK_EQ(c.peer.receive(26), "abcdefghijklmnopqrstuvwxyz");
}

TEST_CASE("B-14 CL-3 F-096: closed from another thread, the peer sees the FIN at once") {
  LeakCheck leaks;
  NetThreads threads(1);
  for (Family f : {Family::kTcp4, Family::kUnix}) {
    Remote c(threads[0], f);
    // Asleep from here on, and nothing but the close wakes it.
    CHECK_EQ(on(threads[0], [](NetHandler& h) { return h.timers.size(); }), 0);
    remote::close(c.id);
    CHECK(wait_fd(c.peer.fd(), POLLIN));
    CHECK(c.peer.at_end());
  }
}

TEST_CASE("RE-4 F-050: requests are coalesced while one is under way, and none is lost") {
  LeakCheck leaks;
  Loop loop;  // its thread does nothing until the test says so
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf small(0, 0);
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  c.peer.send(std::string(300, 'x'));
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(rec.story(), "RR");
  small.take();
  std::thread([&] {
    for (int i = 0; i < 1000; ++i)
      CHECK(remote::reenable(c.id, Side::kRead));
    CHECK(remote::reenable(c.id, Side::kWrite));
  }).join();
  CHECK_EQ(c->remote_enables.load(), 3u);
  loop.turn();
  CHECK_EQ(c->remote_enables.load(), 0u);
  CHECK_EQ(rec.story(), "RR RR");
  small.take();
  // After the bit was cleared a new request is a new command.
  std::thread([&] { CHECK(remote::reenable(c.id, Side::kRead)); }).join();
  loop.turn();
  CHECK_EQ(rec.story(), "RR RR RR");
}

TEST_CASE("RE-4: a request for a connection that closes meanwhile is dropped") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in;
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  CHECK(remote::reenable(c.id, Side::kRead));
  rec.expect_silence();
  c->do_io_close();
  loop.turn(2);
}

TEST_CASE("RE-7: the net thread sleeps; a command and an edge each wake it") {
  LeakCheck leaks;
  std::atomic<int> events{0};
  struct Count final : Continuation {
    explicit Count(std::atomic<int>& n) : events(n) {}
    int handle_event(Event, VIO*) override {
      events.fetch_add(1);
      return 0;
    }
    std::atomic<int>& events;
  } count(events);
  NetThreads threads(1);
  Remote c(threads[0], Family::kTcp4);
  Buf in(kIndexLarge, 1 << 20);
  remote::post(c.id, [&](NetVConnection& vc) { vc.do_io_read(&count, VIO::kUnlimited, in.m); });
  for (int i = 1; i <= 50; ++i) {
    c.peer.send("x");
    REQUIRE(wait_for([&] { return events >= i; }));
    CHECK_EQ(on(threads[0], [&](NetHandler&) { return in.avail(); }), i);
  }
  on(threads[0],
     [&](NetHandler&) { return NetVConnection::pool().address(c.id)->do_io_close(), 0; });
}

TEST_CASE("move_to MG-3 B-23: it lives on under its id; unread bytes and readiness are not lost") {
  LeakCheck leaks;
  Loop from, to;
  VcAndPeer c(from, Family::kTcp4);
  Recorder rec;
  Buf in;
  c.peer.send("before");
  from.see(c->get_socket(), POLLIN);
  NetVConnection* moved = nullptr;
  c->move_to(to.h, [&](NetVConnection* vc) { moved = vc; });
  CHECK_EQ(from.h.open_count(), 0);
  CHECK_EQ(c->home(), &to.h);
  CHECK_EQ(moved, nullptr);
  // On its way it is neither closed nor gone, for whoever asks.
  from.turn(3);
  CHECK(c.alive());
  CHECK_FALSE(c->closed_to_all());
  CHECK_EQ(c->failure(), 0);
  CHECK_GE(c->get_socket(), 0);
  CHECK_FALSE(c.peer.at_end());
  CHECK_EQ(from.h.counters.closed.get(), 0);
  to.turn();
  CHECK_EQ(moved, c.vc);
  CHECK_EQ(to.h.open_count(), 1);
  CHECK_EQ(c->handler, &to.h);
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  to.settle();
  CHECK_EQ(in.take(), "before");
  c.peer.send("after");
  to.see(c->get_socket(), POLLIN);
  CHECK_EQ(in.take(), "after");
}

TEST_CASE("move_to: commands sent while it is under way come after it; messages go with it") {
  LeakCheck leaks;
  Loop from, to;
  VcAndPeer c(from, Family::kUnix);
  CHECK(c->queue_write("first ", 6));
  c->move_to(to.h, [](NetVConnection*) {});
  CHECK(remote::post(c.id, [&](NetVConnection& vc) {
    CHECK_EQ(vc.handler, &to.h);
    CHECK(vc.open_link.linked);
    vc.queue_write("second", 6);
  }));
  to.settle();
  CHECK_EQ(c.peer.receive(12), "first second");
}

TEST_CASE("move_to: a command already in the old mailbox follows") {
  LeakCheck leaks;
  Loop from, to;
  VcAndPeer c(from, Family::kUnix);
  int ran = 0;
  CHECK(remote::post(c.id, [&](NetVConnection& vc) { ran += vc.handler == &to.h; }));
  c->move_to(to.h, [](NetVConnection*) {});
  from.turn();
  to.turn();
  CHECK_EQ(ran, 1);
}

TEST_CASE("move_to: to where it is already") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kUnix);
  NetVConnection* moved = nullptr;
  c->move_to(loop.h, [&](NetVConnection* vc) { moved = vc; });
  CHECK_EQ(moved, c.vc);
  CHECK_EQ(loop.h.open_count(), 1);
}

TEST_CASE("move_to INV-27: the new handler shuts down before it ran the move") {
  LeakCheck leaks;
  Loop from, to;
  VcAndPeer c(from, Family::kTcp4);
  c->move_to(to.h, [](NetVConnection*) {});
  to.h.shut_down();
  CHECK(c.peer.at_end());
}

}  // namespace netvc::test
