// do_io_close and the release of a connection.
#include <fcntl.h>

#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"
#include "support/notices.h"

namespace netvc::test {

namespace {

struct Fixture {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Recorder rec;
  Buf in, out;
};

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

}  // namespace

TEST_CASE_FIXTURE(Fixture, "CL-1: closing leaves bare VIOs, and the buffers to their user") {
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  out.put("x");
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  CHECK_EQ(in.m->ref_count(), 2);
  c->do_io_close();
  for (const VIO* vio : {&c->read_vio, &c->write_vio}) {
    CHECK_EQ(vio->op, Op::kNone);
    CHECK_EQ(vio->cont, nullptr);
    CHECK_EQ(vio->nbytes, 0);
    CHECK_FALSE(vio->enabled);
    CHECK_FALSE(vio->buffer);
  }
  CHECK_EQ(in.m->ref_count(), 1);
  CHECK_EQ(out.take(), "x");
}

TEST_CASE_FIXTURE(Fixture, "CL-1 CL-6: lerrno 0 and -1 are not stored; an errno is") {
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  c->do_io_close(0);
  CHECK_EQ(c->lerrno, 0);
  VcAndPeer d(loop, Family::kTcp4);
  VcPool::Handle held_d = NetVConnection::pool().address(d.id);
  d->do_io_close(EIO);
  CHECK_EQ(d->lerrno, EIO);
  CHECK(d.peer.at_end());  // an abort makes no difference on the wire by itself
}

TEST_CASE_FIXTURE(Fixture, "CL-2 INV-1: nothing is told after do_io_close, whatever was ready") {
  out.put("x");
  c.peer.send("abc");
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c->do_io_write(&rec, 1, out.r);
  CHECK(loop.h.is_scheduled(c->read));
  rec.expect_silence();
  c->do_io_close();
  in = Buf();  // the user frees its buffers at once
  out = Buf();
  loop.settle();
  CHECK_EQ(rec.story(), "");
}

TEST_CASE_FIXTURE(Fixture,
                  "CL-3 CL-4 F-095: outside callbacks the release is immediate and complete") {
  const int fd = c->get_socket();
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c->do_io_close();
  CHECK_FALSE(c.alive());
  CHECK_FALSE(is_open(fd));
  CHECK_EQ(loop.h.open_count(), 0);
  CHECK_FALSE(loop.h.has_work());
  CHECK_EQ(loop.h.timers.size(), 0);
  CHECK_EQ(loop.h.counters.closed.get(), 1);
  CHECK(c.peer.at_end());
}

TEST_CASE_FIXTURE(Fixture, "CL-3: inside a callback the release waits for the end of the frame") {
  rec.react = [&](Event, VIO*) {
    const int fd = c->get_socket();
    rec.expect_silence();
    c->do_io_close();
    CHECK(c.alive());
    CHECK(is_open(fd));
    CHECK_EQ(loop.h.open_count(), 1);
  };
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.send("abc");
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  loop.turn();
  CHECK_FALSE(c.alive());
  CHECK_EQ(loop.h.open_count(), 0);
}

TEST_CASE("CL-3: a connection that was never attached is released at once") {
  LeakCheck leaks;
  FdPair p = fd_pair(Family::kUnix);
  Connection con;
  REQUIRE_EQ(con.adopt(p.a.release()), 0);
  NetVConnection* vc = NetVConnection::create(std::move(con), VcContext::kInbound);
  vc->queue_write("never sent", 10);
  vc->do_io_close();
  CHECK(RawPeer(std::move(p.b)).at_end());
}

TEST_CASE("CL-5 INV-12: descriptors 0 and 1 are closed like any other, and once") {
  LeakCheck leaks;
  for (int number : {0, 1}) {
    const UniqueFd saved(::dup(number));
    Loop loop;
    FdPair p = fd_pair(Family::kUnix);
    ::dup2(p.a.get(), number);
    p.a.reset();
    NetVConnection* vc = adopt(loop.h, UniqueFd(number));
    CHECK_EQ(vc->get_socket(), number);
    vc->do_io_close();
    const bool closed = !is_open(number);
    // The number is reused at once: a second close would hit the stranger.
    const int stranger = ::dup2(saved.get(), number);
    loop.settle();
    loop.h.shut_down();
    CHECK(is_open(stranger));
    CHECK(closed);
    CHECK(RawPeer(std::move(p.b)).at_end());
  }
}

TEST_CASE_FIXTURE(Fixture, "CL-6: with LINGER_ON closing is an RST") {
  NetVCOptions o;
  o.sock_flags = NetVCOptions::kLingerOn;
  CHECK_EQ(c->apply_options(o), 0);
  c->do_io_close();
  REQUIRE(wait_fd(c.peer.fd(), POLLIN));
  c.peer.take();
  CHECK_EQ(c.peer.last(), -ECONNRESET);
}

TEST_CASE_FIXTURE(Fixture, "CL-7: closing twice is closing once") {
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  struct Listener final : VcObserver {
    void on_vc_closed(NetVConnection&, bool by_itself) override {
      ++told;
      alone = by_itself;
    }
    int told = 0;
    bool alone = true;
  } listener;
  c->observer = &listener;
  c->do_io_close();
  c->do_io_close(EIO);
  int closed = 0;
  c->get_data(kDataClosed, &closed);
  CHECK_EQ(closed, 1);
  CHECK_EQ(c->lerrno, 0);
  CHECK_EQ(listener.told, 1);
  CHECK_FALSE(listener.alone);
  CHECK_EQ(loop.h.counters.closed.get(), 1);
}

TEST_CASE_FIXTURE(Fixture, "CL-4: a closed connection's timers go with it") {
  loop.exact_lists = false;
  Faults faults;
  Notices told;
  SUBCASE("inactivity") {
    c->do_io_read(&rec, VIO::kUnlimited, in.m);
    c->set_inactivity_timeout(kSecond);
  }
  SUBCASE("active") { c->set_active_timeout(kSecond); }
  SUBCASE("a retry after ENOBUFS") {
    faults.always(SocketOp::kWrite, c->get_socket(), fail(ENOBUFS));
    out.put("x");
    c->do_io_write(&rec, 1, out.r);
    loop.turn(3);
  }
  SUBCASE("urgent bytes that wait") {
    faults.always(SocketOp::kSendOob, c->get_socket(), fail(EAGAIN));
    REQUIRE_EQ(c->send_oob("x", 1, told.notice()), 0);
    loop.turn(3);
  }
  REQUIRE_GT(loop.h.timers.size(), 0);
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  c->do_io_close();
  CHECK_EQ(loop.h.timers.size(), 0);
  CHECK_EQ(loop.h.next_timer(), TimerQueue::kNever);
}

TEST_CASE_FIXTURE(Fixture,
                  "F-028: slots are reused; an old id never answers for the new connection") {
  const VersionedId old = c.id;
  c->do_io_close();
  VcAndPeer d(loop, Family::kTcp4);
  CHECK_EQ(slot_of(d.id), slot_of(old));
  CHECK_NE(d.id, old);
  CHECK_FALSE(NetVConnection::pool().address(old));
  CHECK(NetVConnection::pool().address(d.id));
}

TEST_CASE(
    "INV-27: shutting the handler down closes what is open and tells listeners, not "
    "continuations") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer a(loop, Family::kTcp4), b(loop, Family::kUnix);
  Recorder rec;
  Buf in;
  struct Listener final : VcObserver {
    void on_vc_closed(NetVConnection&, bool by_itself) override {
      ++told;
      CHECK(by_itself);
    }
    int told = 0;
  } listener;
  a->observer = b->observer = &listener;
  a->do_io_read(&rec, VIO::kUnlimited, in.m);
  rec.expect_silence();
  loop.h.shut_down();
  CHECK_EQ(listener.told, 2);
  CHECK_EQ(loop.h.open_count(), 0);
  CHECK(a.peer.at_end());
  CHECK(b.peer.at_end());
}

}  // namespace netvc::test
