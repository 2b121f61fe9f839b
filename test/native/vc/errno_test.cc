// The table of 4.5: what each errno of a read or a write becomes, on a handler that is driven by
// hand and on a net thread.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/forms.h"
#include "support/leak_check.h"

namespace netvc::test {

namespace {

// One direction with failing system calls; then the kernel as it is: a byte to read, room to write.
struct Trial {
  Trial(Form form, SocketOp direction, std::initializer_list<int> errors)
      : op(direction), runner(form), c(runner, Family::kTcp4) {
    for (const int error : errors)
      faults.script(op, c.fd, {fail(error)});
  }
  void arm() {
    runner.call([this](NetHandler&) {
      if (op == SocketOp::kRead) {
        c.vc->do_io_read(&rec, 1, in.m);
      } else {
        c.vc->do_io_write(&rec, 1, out.r);
      }
    });
  }
  /// All injected failures have happened, and what they lead to at once.
  void injected() {
    REQUIRE(runner.until([this] { return faults.left() == 0; }));
  }
  bool told() {
    return runner.until([this] { return !rec.told.empty(); });
  }
  template <class F>
  auto seen(F f) {
    return runner.call([&](NetHandler&) { return f(); });
  }
  std::string story() {
    return seen([this] { return rec.story(); });
  }
  int lerrno() {
    return seen([this] { return c.vc->lerrno; });
  }
  bool triggered() {
    return seen([this] { return (op == SocketOp::kRead ? c.vc->read : c.vc->write).triggered; });
  }
  int calls() { return faults.calls(op, c.fd); }
  const char* complete() const { return op == SocketOp::kRead ? "RC" : "WC"; }

  LeakCheck leaks;
  Faults faults;
  Recorder rec;
  Buf in, out{"x"};
  SocketOp op;
  Runner runner;
  VcOn c;
};

// The errno rows of 4.5 for one direction, in both forms of the engine.
template <class F>
void for_each_row(SocketOp op, std::initializer_list<int> errors, F test) {
  for (const Form form : kForms) {
    CAPTURE(name_of(form));
    for (const int error : errors) {
      CAPTURE(error);
      Trial t(form, op, {error});
      t.arm();
      t.injected();
      test(t, error);
    }
  }
}

void waits_for_the_next_edge(Trial& t, int) {
  CHECK_EQ(t.story(), "");
  CHECK_FALSE(t.triggered());
  CHECK_EQ(t.calls(), 1);
  t.c.peer.send("y");  // an edge of both directions
  REQUIRE(t.told());
  CHECK_EQ(t.story(), t.complete());
  CHECK_EQ(t.lerrno(), 0);
}

void is_the_end(Trial& t, int error) {
  REQUIRE(t.told());
  CHECK_EQ(t.story(), "EOS");
  CHECK_EQ(t.lerrno(), error);
  CHECK_FALSE(t.triggered());
}

void is_an_error(Trial& t, int error) {
  REQUIRE(t.told());
  CHECK_EQ(t.story(), "ERROR");
  CHECK_EQ(t.lerrno(), error);
  CHECK_FALSE(t.triggered());
  CHECK_EQ(t.seen([&] { return t.c.vc->failure(); }), error);
}

}  // namespace

TEST_CASE("4.5 RD-9: EAGAIN, EWOULDBLOCK and ENOTCONN from read wait for the next edge") {
  for_each_row(SocketOp::kRead, {EAGAIN, EWOULDBLOCK, ENOTCONN}, waits_for_the_next_edge);
}

TEST_CASE("4.5 WR-10: EAGAIN, ENOTCONN and EINPROGRESS from write wait for the next edge") {
  for_each_row(SocketOp::kWrite, {EAGAIN, EWOULDBLOCK, ENOTCONN, EINPROGRESS},
               waits_for_the_next_edge);
}

TEST_CASE("4.5 RD-10: ECONNRESET from read is EOS") {
  for_each_row(SocketOp::kRead, {ECONNRESET}, is_the_end);
}

TEST_CASE("4.5 4.6(1): ECONNRESET from write is EOS") {
  for_each_row(SocketOp::kWrite, {ECONNRESET}, is_the_end);
}

TEST_CASE("4.5 RD-10: 0 from read is EOS, without an errno") {
  for (const Form form : kForms) {
    Trial t(form, SocketOp::kRead, {});
    t.c.peer.shutdown(SHUT_WR);
    t.arm();
    is_the_end(t, 0);
  }
}

TEST_CASE("4.5 RD-10 SIG-4: any other errno of read is ERROR, with lerrno") {
  for_each_row(SocketOp::kRead,
               {ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNREFUSED, EIO, EBADF, EINVAL, EPIPE},
               is_an_error);
}

TEST_CASE("4.5 WR-10: EPIPE and any other errno of write is ERROR, with lerrno") {
  for_each_row(SocketOp::kWrite,
               {EPIPE, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNREFUSED, EIO, EBADF, EACCES},
               is_an_error);
}

TEST_CASE("4.5 RD-7: EINTR is tried again in place, as often as it comes") {
  for (const Form form : kForms) {
    for (const SocketOp op : {SocketOp::kRead, SocketOp::kWrite}) {
      Trial t(form, op, {EINTR, EINTR, EINTR});
      t.c.peer.send("y");
      REQUIRE(wait_fd(t.c.fd, POLLIN));
      t.arm();
      REQUIRE(t.told());
      CHECK_EQ(t.story(), t.complete());
      CHECK_EQ(t.calls(), 4);
    }
  }
}

TEST_CASE("4.5: a latched socket error takes precedence over EPIPE") {
  for (const Form form : kForms) {
    Trial t(form, SocketOp::kRead, {ETIMEDOUT});
    t.faults.script(SocketOp::kWrite, t.c.fd, {fail(EPIPE)});
    t.runner.call([&](NetHandler&) {
      t.c.vc->do_io_read(&t.rec, VIO::kUnlimited, t.in.m);
      t.c.vc->do_io_write(&t.rec, 1, t.out.r);
    });
    t.injected();
    CHECK_EQ(t.story(), "ERROR ERROR");
    CHECK_EQ(t.seen([&] { return t.rec.told[1].lerrno; }), ETIMEDOUT);
  }
}

TEST_CASE("B-17 4.5: ENOBUFS and ENOMEM up to five times are waited for, 10 ms each") {
  for (const Form form : kForms) {
    for (const SocketOp op : {SocketOp::kRead, SocketOp::kWrite}) {
      for (const int error : {ENOBUFS, ENOMEM}) {
        CAPTURE(error);
        Trial t(form, op, {error, error, error, error, error});
        t.c.peer.send("y");
        REQUIRE(wait_fd(t.c.fd, POLLIN));
        const Nanos start = monotonic_now();
        t.arm();
        REQUIRE(t.told());
        CHECK_GE(monotonic_now() - start, 50 * kMillisecond);
        CHECK_EQ(t.story(), t.complete());
        CHECK_EQ(t.calls(), 6);
        CHECK_EQ(t.seen([&] { return t.c.vc->failure(); }), 0);
      }
    }
  }
}

TEST_CASE("B-17 4.5: after five retries ENOBUFS and ENOMEM are errors") {
  for (const Form form : kForms) {
    for (const SocketOp op : {SocketOp::kRead, SocketOp::kWrite}) {
      for (const int error : {ENOBUFS, ENOMEM}) {
        CAPTURE(error);
        Trial t(form, op, {error, error, error, error, error, error});
        t.arm();
        is_an_error(t, error);
        CHECK_EQ(t.calls(), 6);
      }
    }
  }
}

TEST_CASE("B-17 4.5: each direction has its own five retries") {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  loop.exact_lists = false;
  VcAndPeer c(loop, Family::kTcp4);
  Recorder rec;
  Buf in, out("x");
  c.peer.send("y");
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  for (const SocketOp op : {SocketOp::kRead, SocketOp::kWrite}) {
    const Fault no = fail(ENOBUFS);
    faults.script(op, c->get_socket(), {no, no, no, no, no});
  }
  c->do_io_read(&rec, 1, in.m);
  c->do_io_write(&rec, 1, out.r);
  REQUIRE(loop.until([&] { return rec.told.size() == 2; }));
  CHECK_EQ(rec.endings(Side::kRead), "RC");
  CHECK_EQ(rec.endings(Side::kWrite), "WC");
  CHECK_EQ(faults.left(), 0);
}

TEST_CASE("B-17: ENOBUFS while a graceful close reads the rest is tried again, not waited out") {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  loop.exact_lists = false;
  VcAndPeer c(loop, Family::kTcp4);
  c.peer.shutdown(SHUT_WR);
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  loop.settle();
  faults.script(SocketOp::kRead, c->get_socket(), {fail(ENOBUFS), fail(ENOMEM)});
  c->close_gracefully();
  CHECK(loop.until([&] { return !c.alive(); }));
  CHECK_EQ(faults.left(), 0);
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
    CHECK_LE(loop.h.next_timer(), monotonic_now() + 10 * kMillisecond);
    REQUIRE(loop.until([&] { return rec.told.size() == 2; }));
    CHECK_GE(monotonic_now() - start, 20 * kMillisecond);
    CHECK_EQ(rec.endings(Side::kRead), "RC");
    CHECK_EQ(rec.endings(Side::kWrite), "WC");
    CHECK_EQ(faults.left(), 0);
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
