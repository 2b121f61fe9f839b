// What the errors of accept(2) do (AC-6), through the fault seam.
#include <doctest/doctest.h>

#include "support/accept_log.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"

namespace netvc::test {

namespace {

struct Fixture {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  Server s{loop};
  ~Fixture() { Acceptor::cancel(s.acceptor); }

  int fd() const { return s.socket->fd(); }
  int accepts() { return faults.calls(SocketOp::kAccept, fd()); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "AC-6: EAGAIN ends the round") {
  loop.settle();
  const int before = accepts();
  loop.turn(5);
  CHECK_EQ(accepts(), before);
  CHECK_EQ(loop.h.counters.accept_errors.get(), 0);
  CHECK(s.log.errors.empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "B-19 AC-6: a connection that died while waiting does not end the round") {
  for (int error : {ECONNABORTED, EPROTO, EPIPE, ECONNRESET, EINTR}) {
    CAPTURE(error);
    loop.settle();
    const size_t before = s.log.count();
    faults.script(SocketOp::kAccept, fd(), {fail(error)});
    RawPeer client = dial(s.address());
    REQUIRE(wait_fd(fd(), POLLIN));
    loop.turn();
    CHECK_EQ(s.log.count(), before + 1);
    CHECK_EQ(faults.left(), 0);
  }
  CHECK(s.log.errors.empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "AC-6 F-079 INV-22: out of descriptors - a pause, no spinning, then it goes on") {
  for (int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
    CAPTURE(error);
    loop.settle();
    const size_t before = s.log.count();
    faults.always(SocketOp::kAccept, fd(), fail(error));
    RawPeer client = dial(s.address());
    REQUIRE(wait_fd(fd(), POLLIN));
    const Nanos start = monotonic_now();
    loop.settle();
    const int tries = accepts();
    loop.turn(20);
    CHECK_EQ(accepts(), tries);  // waits for the timer
    CHECK_FALSE(loop.h.has_work());
    CHECK_LE(loop.h.next_timer(), start + 2 * Acceptor::kPause);
    CHECK_EQ(s.log.count(), before);
    RawPeer second = dial(s.address());  // an edge during the pause does not end it
    loop.settle();
    CHECK_EQ(accepts(), tries);
    faults.forget();
    REQUIRE(loop.until([&] { return s.log.count() == before + 2; }));
    CHECK_GE(monotonic_now() - start, Acceptor::kPause);
  }
  CHECK(s.log.errors.empty());
}

TEST_CASE_FIXTURE(Fixture, "AC-6: the pause repeats while the shortage lasts") {
  faults.always(SocketOp::kAccept, fd(), fail(EMFILE));
  RawPeer client = dial(s.address());
  const int before = accepts();
  REQUIRE(loop.until([&] { return accepts() >= before + 3; }));
  CHECK_LE(loop.h.counters.accept_errors.get(), 4);
}

TEST_CASE_FIXTURE(Fixture, "AC-7: cancelled during the pause") {
  faults.always(SocketOp::kAccept, fd(), fail(EMFILE));
  RawPeer client = dial(s.address());
  REQUIRE(wait_fd(fd(), POLLIN));
  loop.settle();
  Acceptor::cancel(s.acceptor);
  CHECK_EQ(loop.h.timers.size(), 0);
  CHECK_EQ(s.log.stopped, 1);
}

TEST_CASE("AC-6: any other error is told, and the listener stops") {
  for (int error : {EBADF, ENOTSOCK, EINVAL, EOPNOTSUPP}) {
    CAPTURE(error);
    LeakCheck leaks;
    Faults faults;
    Loop loop;
    Server s(loop);
    faults.script(SocketOp::kAccept, s.socket->fd(), {fail(error)});
    loop.settle();
    CHECK_EQ(s.log.errors, std::vector{error});
    CHECK_EQ(s.log.stopped, 1);
    CHECK_EQ(loop.h.open_count(), 0);
  }
}

TEST_CASE("AC-6: a listening socket that was shut down stops its acceptor") {
  LeakCheck leaks;
  Loop loop;
  Server s(loop);
  loop.settle();
  ::shutdown(s.socket->fd(), SHUT_RDWR);
  REQUIRE(loop.until([&] { return s.log.stopped == 1; }));
  CHECK_EQ(s.log.errors, std::vector{EINVAL});
}

}  // namespace netvc::test
