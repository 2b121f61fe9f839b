// do_io_shutdown and half-close.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/loop.h"

namespace netvc::test {

namespace {

struct Pair {
  explicit Pair(Loop& l, Family f) : loop(l), c(l, f) {}
  void see(short events) { loop.see(c->get_socket(), events); }
  Loop& loop;
  VcAndPeer c;
  Recorder rec;
  Buf in, out;
};

template <class F>
void on_tcp_and_unix(F test) {
  for (Family f : {Family::kTcp4, Family::kTcp6, Family::kUnix}) {
    CAPTURE(name_of(f));
    LeakCheck leaks;
    Loop loop;
    Pair p(loop, f);
    test(p, loop);
  }
}

}  // namespace

TEST_CASE("VC-5: SHUT_WR is a FIN at once; bytes in the user's buffer are not flushed; no event") {
  on_tcp_and_unix([](Pair& p, Loop& loop) {
    p.out.put("not flushed");
    p.c->do_io_write(&p.rec, VIO::kUnlimited, p.out.r);
    p.c->do_io_shutdown(Shutdown::kWrite);
    CHECK(wait_fd(p.c.peer.fd(), POLLIN));
    CHECK(p.c.peer.at_end());
    p.c->write_vio.reenable();
    p.c->do_io_write(&p.rec, VIO::kUnlimited, p.out.r);
    loop.settle();
    CHECK_EQ(p.rec.story(), "");
    CHECK_EQ(p.out.take(), "not flushed");
    CHECK_EQ(loop.h.open_count(), 1);  // do_io_close is still required
  });
}

TEST_CASE("VC-5: after shutdown the VIO is bare") {
  on_tcp_and_unix([](Pair& p, Loop&) {
    p.c->do_io_read(&p.rec, 10, p.in.m);
    const uint32_t before = p.c->read_vio.generation;
    p.c->do_io_shutdown(Shutdown::kRead);
    CHECK_EQ(p.c->read_vio.nbytes, 0);
    CHECK_EQ(p.c->read_vio.cont, nullptr);
    CHECK_FALSE(p.c->read_vio.buffer);
    CHECK_FALSE(p.c->read_vio.enabled);
    CHECK_NE(p.c->read_vio.generation, before);
  });
}

TEST_CASE("VC-5 VC-6: after SHUT_RD nothing that the peer does is told") {
  on_tcp_and_unix([](Pair& p, Loop& loop) {
    p.c->do_io_read(&p.rec, VIO::kUnlimited, p.in.m);
    p.c->do_io_shutdown(Shutdown::kRead);
    loop.settle();
    ::send(p.c.peer.fd(), "late", 4, MSG_NOSIGNAL);
    loop.settle();
    p.c->do_io_read(&p.rec, VIO::kUnlimited, p.in.m);
    p.c->reenable(&p.c->read_vio);
    loop.settle();
    p.c.peer.close();
    loop.settle();
    CHECK_EQ(p.rec.story(), "");
    CHECK_EQ(p.in.avail(), 0);
  });
}

TEST_CASE("B-9: READ then WRITE keeps both sides shut") {
  on_tcp_and_unix([](Pair& p, Loop&) {
    p.c->do_io_shutdown(Shutdown::kRead);
    p.c->do_io_shutdown(Shutdown::kWrite);
    CHECK_EQ(p.c->shut_sides(), NetVConnection::kShutRead | NetVConnection::kShutWrite);
    CHECK(p.c.peer.at_end());
  });
}

TEST_CASE("VC-5: both sides at once") {
  on_tcp_and_unix([](Pair& p, Loop& loop) {
    p.c->do_io_read(&p.rec, VIO::kUnlimited, p.in.m);
    p.out.put("x");
    p.c->do_io_write(&p.rec, VIO::kUnlimited, p.out.r);
    p.c->do_io_shutdown(Shutdown::kReadWrite);
    loop.settle();
    CHECK_EQ(p.rec.story(), "");
    CHECK(p.c.peer.at_end());
    CHECK_FALSE(p.c->can_send());
  });
}

TEST_CASE("VC-5 SIG-5: shutdown inside the callbacks of the same side") {
  on_tcp_and_unix([](Pair& p, Loop& loop) {
    p.rec.react = [&](Event e, VIO*) {
      p.c->do_io_shutdown(e == Event::kReadReady ? Shutdown::kRead : Shutdown::kWrite);
    };
    p.c->do_io_read(&p.rec, VIO::kUnlimited, p.in.m);
    p.c->do_io_write(&p.rec, VIO::kUnlimited, p.out.r);
    p.c.peer.send("abc");
    p.see(POLLIN);
    CHECK_EQ(p.rec.count(Event::kReadReady), 1);
    CHECK_EQ(p.rec.count(Event::kWriteReady), 1);
    ::send(p.c.peer.fd(), "def", 3, MSG_NOSIGNAL);  // EPIPE on a unix socket
    loop.settle();
    CHECK_EQ(p.rec.told.size(), 2);
  });
}

TEST_CASE("INV-17 RD-16: after the peer's FIN everything can still be written") {
  on_tcp_and_unix([](Pair& p, Loop& loop) {
    const std::string much(300'000, 'w');
    p.c->do_io_read(&p.rec, VIO::kUnlimited, p.in.m);
    p.c.peer.send("q");
    p.c.peer.shutdown(SHUT_WR);
    REQUIRE(loop.until([&] { return p.rec.has(Event::kEos); }));
    p.out.put(much);
    p.c->do_io_write(&p.rec, static_cast<int64_t>(much.size()), p.out.r);
    std::string got;
    REQUIRE(loop.until([&] {
      got += p.c.peer.take();
      return got.size() == much.size();
    }));
    loop.settle();
    CHECK(got == much);
    CHECK_EQ(p.rec.endings(), "EOS WC");
  });
}

TEST_CASE("INV-17: after our SHUT_WR everything can still be read") {
  on_tcp_and_unix([](Pair& p, Loop& loop) {
    Buf in(kIndexLarge, 8192);
    std::string got;
    p.rec.react = [&](Event e, VIO* vio) {
      got += in.take();
      if (e == Event::kReadReady) vio->reenable();
    };
    p.c->do_io_read(&p.rec, VIO::kUnlimited, in.m);
    p.c->do_io_shutdown(Shutdown::kWrite);
    CHECK(p.c.peer.at_end());
    const std::string part(20'000, 'r');
    for (int i = 0; i < 10; ++i) {
      p.c.peer.send(part);
      REQUIRE(loop.until([&] { return got.size() == part.size() * static_cast<size_t>(i + 1); }));
    }
    p.c.peer.shutdown(SHUT_WR);
    REQUIRE(loop.until([&] { return p.rec.has(Event::kEos); }));
    CHECK_EQ(p.rec.endings(), "EOS");
  });
}

}  // namespace netvc::test
