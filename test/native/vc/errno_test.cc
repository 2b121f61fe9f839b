// The table of 4.5: what each errno of a read or a write becomes.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"

namespace netvc::test {

namespace {

struct Outcome {
  std::string story;
  int lerrno;
  bool triggered;
};

// One failing call, then the kernel as it is: data to read, room to write.
Outcome read_fails_with(int error) {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in;
  faults.script(SocketOp::kRead, c->get_socket(), {fail(error)});
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.turn();
  return {rec.story(), c->lerrno, c->read.triggered};
}

Outcome write_fails_with(int error) {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf out("x");
  faults.script(SocketOp::kWrite, c->get_socket(), {fail(error)});
  c->do_io_write(&rec, 1, out.r);
  loop.turn();
  return {rec.story(), c->lerrno, c->write.triggered};
}

}  // namespace

TEST_CASE("4.5 RD-9: EAGAIN, EWOULDBLOCK and ENOTCONN from read wait for the next edge") {
  for (int error : {EAGAIN, EWOULDBLOCK, ENOTCONN}) {
    const Outcome o = read_fails_with(error);
    CHECK_EQ(o.story, "");
    CHECK_FALSE(o.triggered);
  }
}

TEST_CASE("4.5 RD-10: ECONNRESET from read is EOS") {
  const Outcome o = read_fails_with(ECONNRESET);
  CHECK_EQ(o.story, "EOS");
  CHECK_EQ(o.lerrno, ECONNRESET);
  CHECK_FALSE(o.triggered);
}

TEST_CASE("4.5 RD-10 SIG-4: any other errno of read is ERROR, with lerrno") {
  for (int error : {ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNREFUSED, EIO, EBADF, EINVAL}) {
    CAPTURE(error);
    const Outcome o = read_fails_with(error);
    CHECK_EQ(o.story, "ERROR");
    CHECK_EQ(o.lerrno, error);
    CHECK_FALSE(o.triggered);
  }
}

TEST_CASE("4.5 WR-10: EAGAIN, ENOTCONN and EINPROGRESS from write wait") {
  for (int error : {EAGAIN, ENOTCONN, EINPROGRESS}) {
    const Outcome o = write_fails_with(error);
    CHECK_EQ(o.story, "");
    CHECK_FALSE(o.triggered);
  }
}

TEST_CASE("4.5 4.6(1): ECONNRESET from write is EOS") {
  const Outcome o = write_fails_with(ECONNRESET);
  CHECK_EQ(o.story, "EOS");
  CHECK_EQ(o.lerrno, ECONNRESET);
}

TEST_CASE("4.5 WR-10: EPIPE and any other errno of write is ERROR, with lerrno") {
  for (int error : {EPIPE, ETIMEDOUT, EHOSTUNREACH, EIO, EBADF, EACCES}) {
    CAPTURE(error);
    const Outcome o = write_fails_with(error);
    CHECK_EQ(o.story, "ERROR");
    CHECK_EQ(o.lerrno, error);
  }
}

TEST_CASE("4.5: a latched socket error takes precedence over EPIPE") {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in, out("x");
  faults.script(SocketOp::kRead, c->get_socket(), {fail(ETIMEDOUT)});
  faults.script(SocketOp::kWrite, c->get_socket(), {fail(EPIPE)});
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c->do_io_write(&rec, 1, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "ERROR ERROR");
  CHECK_EQ(rec.told[1].lerrno, ETIMEDOUT);
}

TEST_CASE("B-17 4.5: ENOBUFS and ENOMEM are tried again after 10 ms, with nobody told") {
  for (int error : {ENOBUFS, ENOMEM}) {
    CAPTURE(error);
    LeakCheck leaks;
    Faults faults;
    Loop loop;
    loop.exact_lists = false;
    VcAndPeer c(loop, Family::kTcp4);
    Recorder rec;
    Buf in, out("x");
    c.peer.send("y");
    REQUIRE(wait_fd(c->get_socket(), POLLIN));
    faults.script(SocketOp::kRead, c->get_socket(), {fail(error), fail(error)});
    faults.script(SocketOp::kWrite, c->get_socket(), {fail(error), fail(error)});
    c->do_io_read(&rec, 1, in.m);
    c->do_io_write(&rec, 1, out.r);
    const Nanos start = monotonic_now();
    loop.turn();
    CHECK_EQ(rec.story(), "");
    CHECK_FALSE(loop.h.has_work());  // waits for the timer, does not spin
    CHECK_LE(loop.h.next_timer(), start + 20 * kMillisecond);
    REQUIRE(loop.until([&] { return rec.told.size() == 2; }));
    CHECK_GE(monotonic_now() - start, 20 * kMillisecond);
    CHECK_EQ(rec.endings(Side::kRead), "RC");
    CHECK_EQ(rec.endings(Side::kWrite), "WC");
    CHECK_EQ(faults.left(), 0);
  }
}

TEST_CASE("B-17 4.5: after five retries ENOBUFS is an error") {
  for (SocketOp op : {SocketOp::kRead, SocketOp::kWrite}) {
    LeakCheck leaks;
    Faults faults;
    Loop loop;
    loop.exact_lists = false;
    VcAndPeer c(loop, Family::kTcp4);
    Recorder rec;
    Buf in, out("x");
    faults.always(op, c->get_socket(), fail(ENOBUFS));
    if (op == SocketOp::kRead) {
      c->do_io_read(&rec, 1, in.m);
    } else {
      c->do_io_write(&rec, 1, out.r);
    }
    REQUIRE(loop.until([&] { return !rec.told.empty(); }));
    CHECK_EQ(rec.story(), "ERROR");
    CHECK_EQ(c->lerrno, ENOBUFS);
    CHECK_EQ(faults.calls(op, c->get_socket()), 6);
  }
}

TEST_CASE("B-17: ENOBUFS behind accepted bytes passes; the clean end that follows is EOS") {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  loop.exact_lists = false;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in, pieces(-10);
  pieces.put(std::string(12'000, 'x'));
  faults.script(SocketOp::kWrite, c->get_socket(), {kPass, fail(ENOBUFS)});
  c->do_io_write(&rec, 12'000, pieces.r);
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  REQUIRE(loop.until([&] { return rec.has(Event::kWriteComplete); }));
  c.peer.receive(12'000);
  c.peer.shutdown(SHUT_WR);
  REQUIRE(loop.until([&] { return rec.endings(Side::kRead) != ""; }));
  CHECK_EQ(rec.endings(Side::kRead), "EOS");
  CHECK_EQ(c->lerrno, 0);
  CHECK_EQ(c->latched_error(), 0);
}

TEST_CASE("B-17: ENOBUFS of a direct write is not the error of the connection either") {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  loop.exact_lists = false;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in;
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  faults.script(SocketOp::kWrite, c->get_socket(), {fail(ENOBUFS)});
  CHECK(c->write_now("message", 7));
  REQUIRE(loop.until([&] { return c->queued_bytes() == 0; }));
  CHECK_EQ(c.peer.receive(7), "message");
  c.peer.shutdown(SHUT_WR);
  REQUIRE(loop.until([&] { return !rec.told.empty(); }));
  CHECK_EQ(rec.story(), "EOS");
  CHECK_EQ(c->lerrno, 0);
}

}  // namespace netvc::test
