// Closing in other ways than do_io_close: gracefully (B-63), with a reset; and unread bytes.
#include <fcntl.h>

#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"
#include "support/notices.h"
#include "support/pattern.h"
#include "vc/write.h"

namespace netvc::test {

namespace {

using Codes = std::vector<int>;

struct Fixture {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Recorder rec;
  Notices told;
  Buf in;

  int send_told(std::string_view s) {
    return write(c.id, s.data(), s.size(), {.told = told.notice()});
  }
  // The peer has sent what nobody here will read.
  void leave_unread(std::string_view s = "unread") {
    c.peer.send(std::string(s));
    REQUIRE(wait_fd(c->get_socket(), POLLIN));
  }
  // All that comes until the end; the peer goes on sending meanwhile when asked to.
  std::string receive_all(bool sending) {
    std::string got;
    REQUIRE(loop.until([&] {
      if (sending) ::send(c.peer.fd(), "more", 4, MSG_NOSIGNAL);
      got += c.peer.take(20'000);
      return c.peer.last() == 0 || (c.peer.last() < 0 && c.peer.last() != -EAGAIN);
    }));
    return got;
  }
  bool gone() {
    return loop.until([&] { return !c.alive(); });
  }
  void expect_nothing_left() {
    CHECK_EQ(loop.h.counters.lingering.get(), 0);
    CHECK_EQ(loop.h.open_count(), 0);
    CHECK_EQ(loop.h.timers.size(), 0);
  }
  BlockChain& chain(std::string_view s) {
    chain_.clear();
    CHECK(chain_.append(s.data(), s.size()));
    return chain_;
  }

  BlockChain chain_;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "B-63: the contrast - do_io_close with unread input is an RST") {
  leave_unread();
  c->do_io_close();
  receive_all(false);
  CHECK_EQ(c.peer.last(), -ECONNRESET);
}

TEST_CASE_FIXTURE(Fixture, "B-63 F-160: the peer gets all bytes and FIN, although it still sends") {
  leave_unread();
  const std::string s = pattern(0, 1'000'000);
  shrink_buffers(c->get_socket(), 30'000);
  CHECK_EQ(send_told(s), 0);
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  rec.expect_silence();
  c->close_gracefully();
  CHECK(c.alive());
  CHECK_EQ(loop.h.counters.lingering.get(), 1);
  CHECK(receive_all(true) == s);
  CHECK_EQ(c.peer.last(), 0);  // FIN, no RST
  CHECK_EQ(told.codes, Codes{0});
  c.peer.send("after the FIN");
  loop.turn(3);
  CHECK(c.alive());  // until the peer's end
  c.peer.take();
  CHECK_EQ(c.peer.last(), 0);
  c.peer.close();
  CHECK(gone());
  expect_nothing_left();
}

TEST_CASE_FIXTURE(Fixture, "B-63: nothing to send - FIN at once, and gone with the peer's end") {
  c->close_gracefully();
  CHECK(c.peer.at_end());
  CHECK(c.alive());
  CHECK_EQ(write(c.id, "x", 1), ENET_CLOSED);
  c.peer.shutdown(SHUT_WR);
  CHECK(gone());
  expect_nothing_left();
}

TEST_CASE_FIXTURE(Fixture, "B-63: the peer has ended before - our bytes, then gone") {
  c.peer.shutdown(SHUT_WR);
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  const std::string s = pattern(0, 500'000);
  shrink_buffers(c->get_socket(), 30'000);
  CHECK_EQ(send_told(s), 0);
  c->close_gracefully();
  CHECK(receive_all(false) == s);
  CHECK_EQ(c.peer.last(), 0);
  CHECK(gone());
  CHECK_EQ(told.codes, Codes{0});
  expect_nothing_left();
}

TEST_CASE_FIXTURE(Fixture, "B-63: a peer that never ends is given up at the limit") {
  const Nanos start = monotonic_now();
  c->close_gracefully(20 * kMillisecond);
  REQUIRE(loop.until([&] {
    ::send(c.peer.fd(), "and on and on", 13, MSG_NOSIGNAL);
    return !c.alive();
  }));
  CHECK_GE(monotonic_now() - start, 20 * kMillisecond);
  expect_nothing_left();
}

TEST_CASE_FIXTURE(Fixture, "B-63: at the limit messages that have not left are told ENET_CLOSED") {
  Faults faults;
  faults.always(SocketOp::kWrite, c->get_socket(), fail(EAGAIN));
  CHECK_EQ(send_told("never"), 0);
  c->close_gracefully(5 * kMillisecond);
  CHECK(gone());
  CHECK_EQ(told.codes, Codes{ENET_CLOSED});
  expect_nothing_left();
}

TEST_CASE_FIXTURE(Fixture, "B-63: the peer's reset ends it") {
  c->close_gracefully();
  loop.settle();
  c.peer.reset();
  CHECK(gone());
  expect_nothing_left();
}

TEST_CASE_FIXTURE(Fixture, "B-63: the handler's end ends it") {
  c->close_gracefully();
  loop.h.shut_down();
  CHECK_FALSE(c.alive());
  CHECK_EQ(loop.h.counters.lingering.get(), 0);
}

TEST_CASE_FIXTURE(Fixture, "B-63: inside a callback; nothing is told after it") {
  rec.react = [&](Event, VIO*) {
    rec.expect_silence();
    c->queue_write("bye", 3);
    c->close_gracefully();
  };
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.send("x");
  loop.see(c->get_socket(), POLLIN);
  c.peer.send("unread");
  CHECK_EQ(receive_all(false), "bye");
  CHECK_EQ(c.peer.last(), 0);
  c.peer.close();
  CHECK(gone());
  expect_nothing_left();
}

TEST_CASE("B-63: what is no stream is closed as it is") {
  LeakCheck leaks;
  Loop loop;
  int fds[2];
  REQUIRE_EQ(::pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
  UniqueFd reader(fds[0]);
  NetVConnection* vc = adopt(loop.h, UniqueFd(fds[1]));
  const VersionedId id = vc->id();
  vc->close_gracefully();
  CHECK_FALSE(NetVConnection::pool().address(id));
}

TEST_CASE_FIXTURE(Fixture, "close_with_reset: ECONNRESET at the peer, unsent messages are lost") {
  Faults faults;
  faults.always(SocketOp::kWrite, c->get_socket(), fail(EAGAIN));
  CHECK_EQ(send_told("lost"), 0);
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  rec.expect_silence();
  c->close_with_reset();
  CHECK_FALSE(c.alive());
  CHECK_EQ(told.codes, Codes{ENET_CLOSED});
  CHECK_EQ(receive_all(false), "");
  CHECK_EQ(c.peer.last(), -ECONNRESET);
}

// --- unread -------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fixture, "unread: the next read operation gets them first") {
  c->unread(chain("before "));
  CHECK(chain_.empty());
  leave_unread("after");
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(in.take(), "before after");
  CHECK_EQ(c->bytes_in(), 5);  // from the network
  CHECK_EQ(c->read_vio.ndone, 12);
}

TEST_CASE_FIXTURE(Fixture, "unread: without anything from the network; and twice, last first") {
  c->unread(chain("world"));
  c->unread(chain("hello "));
  loop.settle();
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(rec.story(), "RR");
  CHECK_EQ(in.take(), "hello world");
  c.peer.send("!");
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(in.take(), "!");
}

TEST_CASE_FIXTURE(Fixture, "unread: an operation ends in the middle; the rest is the next one's") {
  c->unread(chain("0123456789"));
  c->do_io_read(&rec, 4, in.m);
  loop.settle();
  CHECK_EQ(rec.story(), "RC");
  CHECK_EQ(in.take(), "0123");
  c->do_io_read(&rec, 6, in.m);
  loop.settle();
  CHECK_EQ(rec.story(), "RC RC");
  CHECK_EQ(in.take(), "456789");
}

TEST_CASE_FIXTURE(Fixture, "unread: more than the buffer has room for, with more behind it") {
  Buf small(0, 0);  // full after 128 bytes
  std::string got;
  rec.react = [&](Event e, VIO* vio) {
    CHECK_EQ(e, Event::kReadReady);
    got += small.take();
    vio->reenable();
  };
  const std::string s = pattern(0, 2000);
  c->unread(chain(s.substr(0, 1500)));
  leave_unread(s.substr(1500));
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  loop.settle();
  CHECK(got == s);
  CHECK_GT(rec.told.size(), 10);
}

TEST_CASE_FIXTURE(Fixture, "unread: a reader that reenables late loses nothing") {
  Buf small(0, 0);
  c->unread(chain(pattern(0, 300)));
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  loop.settle();
  std::string got = small.take();
  CHECK_LT(got.size(), 300);
  for (int i = 0; i < 4; ++i) {
    c->reenable(&c->read_vio);
    loop.settle();
    got += small.take();
  }
  CHECK(got == pattern(0, 300));
}

TEST_CASE_FIXTURE(Fixture, "unread: in front of the end of the stream, and after it was told") {
  Buf small(0, 0);
  std::string got;
  rec.react = [&](Event e, VIO* vio) {
    got += small.take();
    if (e == Event::kReadReady) vio->reenable();
  };
  c.peer.close();
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  c->unread(chain(pattern(0, 1000)));
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  loop.settle();
  CHECK(got == pattern(0, 1000));
  CHECK_EQ(rec.endings(), "EOS");
  CHECK_EQ(rec.last(), Event::kEos);
  got.clear();
  c->unread(chain(pattern(7, 1000)));
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  loop.settle();
  CHECK(got == pattern(7, 1000));
  CHECK_EQ(rec.endings(), "EOS EOS");
  CHECK_EQ(rec.last(), Event::kEos);
}

TEST_CASE_FIXTURE(Fixture, "unread: nothing is nothing; a close frees what nobody took") {
  c->unread(chain(""));
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(rec.story(), "");
  c->unread(chain("nobody"));
  c->do_io_close();
  CHECK_FALSE(c.alive());
}

}  // namespace netvc::test
