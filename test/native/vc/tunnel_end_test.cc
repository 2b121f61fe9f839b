// Tunnel: errors, closing by the user, joining what is gone, shutdown.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/tunnel_fixture.h"

namespace netvc::test {

TEST_CASE("tunnel: a reset of one end is an error of that side; both are closed") {
  for (int side : {0, 1}) {
    CAPTURE(side);
    TunnelFixture t;
    t.start();
    (side == 0 ? t.left() : t.right()).reset();
    t.expect_ended(TunnelEnd::kError);
    CHECK_EQ(t.ends.result.error_number, ECONNRESET);
    CHECK_EQ(t.ends.result.side, side);
    RawPeer& other = side == 0 ? t.right() : t.left();
    CHECK(other.take().empty());
    CHECK_EQ(other.last(), -ECONNRESET);
  }
}

TEST_CASE("tunnel: the destination takes no more, yet what it still sends is delivered") {
  // A unix peer that shuts its reading side: our writes are EPIPE, its bytes still come.
  TunnelFixture t(Family::kUnix);
  t.start();
  t.right().shutdown(SHUT_RD);
  t.left().send("into the void");
  t.loop.settle();
  CHECK_EQ(t.ends.told, 0);
  t.right().send("still here");
  CHECK_EQ(t.receive(t.left(), 10), "still here");
  t.right().shutdown(SHUT_WR);
  t.expect_ended(TunnelEnd::kError);
  CHECK_EQ(t.ends.result.error_number, EPIPE);
  CHECK_EQ(t.ends.result.side, 1);
}

TEST_CASE("tunnel: the destination takes no more after it has ended") {
  TunnelFixture t(Family::kUnix);
  t.start();
  t.right().close();
  t.expect_end_of_stream(t.left());
  CHECK_EQ(t.ends.told, 0);
  t.left().send("too late");
  t.expect_ended(TunnelEnd::kError);
  CHECK_EQ(t.ends.result.error_number, EPIPE);
  CHECK_EQ(t.ends.result.side, 1);
}

TEST_CASE("tunnel: any other error ends it at once") {
  for (SocketOp op : {SocketOp::kRead, SocketOp::kWrite}) {
    TunnelFixture t;
    t.start();
    t.faults().script(op, t.b->get_socket(), {fail(ETIMEDOUT)});
    if (op == SocketOp::kRead) {
      t.right().send("x");
    } else {
      t.left().send("x");
    }
    t.expect_ended(TunnelEnd::kError);
    CHECK_EQ(t.ends.result.error_number, ETIMEDOUT);
    CHECK_EQ(t.ends.result.side, 1);
  }
}

TEST_CASE("tunnel: closed by the user of a connection") {
  for (int side : {0, 1}) {
    CAPTURE(side);
    TunnelFixture t;
    t.start();
    (side == 0 ? t.a : t.b)->do_io_close();
    t.expect_ended(TunnelEnd::kClosed);
    CHECK_EQ(t.ends.result.side, side);
    CHECK_EQ(t.ends.result.error_number, 0);
    t.expect_end_of_stream(t.left());
    t.expect_end_of_stream(t.right());
  }
}

TEST_CASE("tunnel: closed as a whole, with bytes under way") {
  TunnelFixture t;
  shrink_buffers(t.b->get_socket(), 20'000);
  t.start();
  const std::string s(300'000, 'x');
  ::send(t.left().fd(), s.data(), s.size(), MSG_NOSIGNAL);
  t.loop.settle();
  CHECK_GT(t.leaks.blocks().data(), 0);
  t.tunnel->close();
  t.expect_ended(TunnelEnd::kClosed);
  t.tunnel->close();
  CHECK_EQ(t.ends.told, 1);
}

TEST_CASE("tunnel: closed inside the callback of another connection, or of its own end") {
  TunnelFixture t;
  Recorder rec;
  Buf in;
  VcAndPeer other(t.loop, Family::kTcp4);
  rec.react = [&](Event, VIO*) { t.tunnel->close(); };
  other->do_io_read(&rec, VIO::kUnlimited, in.m);
  t.start();
  other.peer.send("x");
  t.left().send("y");
  t.expect_ended(TunnelEnd::kClosed);
}

TEST_CASE("tunnel INV-27: the handler's shutdown ends it and tells") {
  TunnelFixture t;
  t.start();
  t.left().send("x");
  t.loop.h.shut_down();
  t.expect_ended(TunnelEnd::kClosed);
}

TEST_CASE("tunnel: nobody need listen") {
  TunnelFixture t;
  t.tunnel = Ref<Tunnel>(new Tunnel(nullptr, {}));
  t.start();
  t.left().close();
  t.expect_end_of_stream(t.right());
  t.right().close();
  CHECK(t.loop.until([&] { return t.tunnel->ended(); }));
}

TEST_CASE("join: runs like start, from a task") {
  TunnelFixture t;
  Tunnel::join(t.tunnel, t.a.id, t.b.id);
  t.left().send("hello");
  CHECK_EQ(t.receive(t.right(), 5), "hello");
  t.left().shutdown(SHUT_WR);
  t.right().shutdown(SHUT_WR);
  t.expect_ended(TunnelEnd::kEos);
}

TEST_CASE(
    "join: a connection that is gone, or goes before the join runs, fails it; the other is "
    "closed") {
  for (int gone : {0, 1}) {
    for (bool before : {true, false}) {
      CAPTURE(gone);
      CAPTURE(before);
      TunnelFixture t;
      VcAndPeer& leaving = gone == 0 ? t.a : t.b;
      if (before) leaving->do_io_close();
      Tunnel::join(t.tunnel, t.a.id, t.b.id);
      if (!before) leaving->do_io_close();
      t.expect_ended(TunnelEnd::kFailed);
      t.expect_end_of_stream(t.left());
      t.expect_end_of_stream(t.right());
    }
  }
}

TEST_CASE("join: both gone") {
  TunnelFixture t;
  Tunnel::join(t.tunnel, t.a.id, t.b.id);
  t.a->do_io_close();
  t.b->do_io_close();
  t.expect_ended(TunnelEnd::kFailed);
}

TEST_CASE("join: a connection that is closed but still sends its messages counts as gone") {
  for (int gone : {0, 1}) {
    CAPTURE(gone);
    TunnelFixture t;
    VcAndPeer& leaving = gone == 0 ? t.a : t.b;
    shrink_buffers(leaving->get_socket(), 20'000);
    const std::string s = pattern(0, 1'000'000);
    leaving->queue_write(s.data(), s.size());
    t.loop.settle();
    leaving->do_io_close();
    REQUIRE(leaving.alive());
    Tunnel::join(t.tunnel, t.a.id, t.b.id);
    std::string got;
    REQUIRE(t.loop.until([&] { return got += leaving.peer.take(), leaving.peer.last() == 0; }));
    CHECK(got == s);
    t.expect_ended(TunnelEnd::kFailed);
  }
}

TEST_CASE("join INV-27: posted and not run when the handler shuts down, it is told all the same") {
  TunnelFixture t;
  Tunnel::join(t.tunnel, t.a.id, t.b.id);
  t.loop.h.shut_down();
  CHECK_EQ(t.ends.told, 1);
}

}  // namespace netvc::test
