// RD-14: when a short read is taken as "nothing more is there".
//
// Our rule differs from Apache Traffic Server's on TCP: after a short read, with no error, hang-up,
// FIN or urgent data seen on the descriptor, the socket is empty, and new bytes make a new edge; so
// the read that would only answer EAGAIN is saved. Everywhere else `triggered` stays.
#include <doctest/doctest.h>

#include "server/connect.h"
#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"

namespace netvc::test {

namespace {

// One turn with bytes that fill less than the room; answers whether readiness is remembered.
bool triggered_after_short_read(Loop& loop, VcAndPeer& c, Recorder& rec, Buf& in,
                                const std::string& s) {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  c.peer.send(s);
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  loop.turn();
  REQUIRE_EQ(rec.story(), "RR");
  return c->read.triggered;
}

}  // namespace

TEST_CASE("RD-14 deviation: on TCP a short read clears triggered, and nothing is lost by that") {
  for (Family f : {Family::kTcp4, Family::kTcp6}) {
    LeakCheck leaks;
    Loop loop;
    VcAndPeer c(loop, f);
    Recorder rec;
    Buf in;
    CHECK_FALSE(triggered_after_short_read(loop, c, rec, in, "short"));
    const int64_t calls = loop.h.counters.read_calls.get();
    loop.settle();
    CHECK_EQ(loop.h.counters.read_calls.get(), calls);  // the EAGAIN was saved
    c.peer.send("new bytes, new edge");
    loop.see(c->get_socket(), POLLIN);
    CHECK_EQ(in.take(), "shortnew bytes, new edge");
  }
}

TEST_CASE("RD-14: on a unix socket a short read keeps triggered") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kUnix);
  Recorder rec;
  Buf in;
  CHECK(triggered_after_short_read(loop, c, rec, in, "short"));
  loop.settle();
  CHECK_FALSE(c->read.triggered);  // by the EAGAIN that followed
}

TEST_CASE("RD-14: on a pipe a short read keeps triggered") {
  LeakCheck leaks;
  Loop loop;
  int fds[2];
  REQUIRE_EQ(::pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
  UniqueFd far(fds[1]);
  NetVConnection* vc = adopt(loop.h, UniqueFd(fds[0]));
  Recorder rec;
  Buf in;
  vc->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  REQUIRE_EQ(::write(far.get(), "abc", 3), 3);
  loop.turn();
  CHECK_EQ(rec.story(), "RR");
  CHECK(vc->read.triggered);
}

TEST_CASE("RD-14 RD-15: a FIN seen together with the bytes keeps triggered") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in;
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  c.peer.send("last words");
  c.peer.shutdown(SHUT_WR);
  REQUIRE(wait_fd(c->get_socket(), POLLRDHUP));
  loop.turn();
  CHECK_EQ(rec.story(), "RR");
  CHECK(c->read.triggered);
  loop.turn();
  CHECK_EQ(rec.story(), "RR EOS");
}

TEST_CASE("RD-14: a FIN that comes after the short read makes a new edge") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in;
  CHECK_FALSE(triggered_after_short_read(loop, c, rec, in, "abc"));
  c.peer.shutdown(SHUT_WR);
  loop.see(c->get_socket(), POLLRDHUP);
  CHECK_EQ(rec.story(), "RR EOS");
}

TEST_CASE("RD-14 OB-3: urgent data, which also cuts reads short, keeps triggered") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in;
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  c.peer.send("before");
  REQUIRE_EQ(::send(c.peer.fd(), "!", 1, MSG_OOB), 1);
  c.peer.send("after");
  REQUIRE(wait_fd(c->get_socket(), POLLPRI));
  loop.settle();
  CHECK_EQ(in.take(), "beforeafter");
}

TEST_CASE("RD-14: an injected short read does not mean that the socket is empty") {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in;
  faults.always(SocketOp::kRead, c->get_socket(), at_most(3));
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.send("0123456789");
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(in.take(), "0123456789");
}

TEST_CASE("RD-14: a datagram socket ends a read at each message: triggered stays") {
  LeakCheck leaks;
  Loop loop;
  const Address at = loopback(Family::kTcp4);
  UniqueFd a(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  UniqueFd b(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  REQUIRE_EQ(::bind(a.get(), at.sa(), at.len()), 0);
  REQUIRE_EQ(::bind(b.get(), at.sa(), at.len()), 0);
  Address of_a, of_b;
  Address::local_of(a.get(), &of_a);
  Address::local_of(b.get(), &of_b);
  REQUIRE_EQ(::connect(a.get(), of_b.sa(), of_b.len()), 0);
  REQUIRE_EQ(::connect(b.get(), of_a.sa(), of_a.len()), 0);
  NetVConnection* vc = adopt(loop.h, std::move(a));
  Recorder rec;
  Buf in;
  vc->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  for (const char* s : {"one", "two", "three"})
    ::send(b.get(), s, strlen(s), 0);
  loop.see(vc->get_socket(), POLLIN);
  CHECK_EQ(in.take(), "onetwothree");
}

}  // namespace netvc::test
