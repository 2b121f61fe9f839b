// What the errors of accept(2) do (AC-6), through the fault seam.
#include <doctest/doctest.h>

#include "support/accept_log.h"
#include "support/fault_injector.h"
#include "support/forms.h"
#include "support/leak_check.h"
#include "support/no_memory.h"

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

// A listener in either form, with its first round over.
struct Listening {
  explicit Listening(Form form) : runner(form) {
    REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
    acceptor = runner.call([&](NetHandler& h) {
      Ref<Acceptor> a(new Acceptor(socket, &log, [&h]() -> NetHandler& { return h; }));
      a->start(h, false);
      return a;
    });
    REQUIRE(runner.until([&] { return faults.calls(SocketOp::kAccept, fd()) == 1; }));
  }
  int fd() const { return socket->fd(); }
  int tries() { return faults.calls(SocketOp::kAccept, fd()); }
  size_t count() {
    return runner.call([&](NetHandler&) { return log.count(); });
  }
  std::vector<int> errors() {
    return runner.call([&](NetHandler&) { return log.errors; });
  }

  LeakCheck leaks;
  Faults faults;
  AcceptLog log;
  Ref<ListenSocket> socket;
  Ref<Acceptor> acceptor;
  Runner runner;
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

TEST_CASE("B-19 AC-6 4.5: a connection that died while waiting does not end the round") {
  for (const Form form : kForms) {
    CAPTURE(name_of(form));
    Listening l(form);
    for (int error : {ECONNABORTED, EPROTO, EPIPE, ECONNRESET, EINTR}) {
      CAPTURE(error);
      const size_t before = l.count();
      l.faults.script(SocketOp::kAccept, l.fd(), {fail(error), fail(error)});
      RawPeer client = dial(l.socket->address());
      REQUIRE(l.runner.until([&] { return l.log.count() == before + 1; }));
      CHECK_EQ(l.faults.left(), 0);
    }
    CHECK(l.errors().empty());
    // EINTR is not an error: it is tried again in place.
    CHECK_EQ(l.runner.call([](NetHandler& h) { return h.counters.accept_errors.get(); }), 8);
  }
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
    const int none = accepts();
    const Nanos start = monotonic_now();
    loop.settle();
    const int each = accepts() - none;
    // Waits for the timer; on a busy machine that may be due already.
    const auto check_tries = [&] {
      const int tries = accepts() - none;
      CHECK_LE(tries, each * (1 + (monotonic_now() - start) / Acceptor::kPause));
    };
    loop.turn(20);
    check_tries();
    CHECK_FALSE(loop.h.has_work());
    CHECK_LE(loop.h.next_timer(), monotonic_now() + Acceptor::kPause);
    CHECK_EQ(s.log.count(), before);
    RawPeer second = dial(s.address());  // an edge during the pause does not end it
    loop.settle();
    check_tries();
    faults.forget();
    REQUIRE(loop.until([&] { return s.log.count() == before + 2; }));
    CHECK_GE(monotonic_now() - start, Acceptor::kPause);
  }
  CHECK(s.log.errors.empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "AC-6: a connection without memory for it is lost, and a pause follows") {
  loop.settle();
  RawPeer lost, second;
  {
    NoMemory none;
    none.fill_connections();
    lost = dial(s.address());
    second = dial(s.address());
    REQUIRE(loop.until([&] {
      lost.take();
      return lost.last() == 0 || lost.last() == -ECONNRESET;
    }));
    CHECK_EQ(s.log.count(), 0);
    CHECK_FALSE(loop.h.has_work());
    CHECK_LE(loop.h.next_timer(), monotonic_now() + Acceptor::kPause);
  }
  REQUIRE(loop.until([&] { return s.log.count() == 1; }));
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

TEST_CASE("AC-6 4.5: ENOBUFS and ENOMEM - tried again by timer, and the listener goes on") {
  for (const Form form : kForms) {
    CAPTURE(name_of(form));
    for (int error : {ENOBUFS, ENOMEM}) {
      CAPTURE(error);
      Listening l(form);
      const int before = l.tries();
      l.faults.script(SocketOp::kAccept, l.fd(), {fail(error), fail(error), fail(error)});
      const Nanos start = monotonic_now();
      RawPeer client = dial(l.socket->address());
      REQUIRE(l.runner.until([&] { return l.log.count() == 1; }));
      CHECK_GE(monotonic_now() - start, 3 * Acceptor::kPause);
      CHECK_EQ(l.faults.left(), 0);
      CHECK_LE(l.tries() - before, 3 + 2);  // the one that works, and EAGAIN
      RawPeer next = dial(l.socket->address());
      REQUIRE(l.runner.until([&] { return l.log.count() == 2; }));
      CHECK(l.errors().empty());
    }
  }
}

TEST_CASE("AC-6 4.5: any other error is told, and the listener stops") {
  for (const Form form : kForms) {
    CAPTURE(name_of(form));
    for (int error : {EBADF, ENOTSOCK, EINVAL, EOPNOTSUPP, EPERM}) {
      CAPTURE(error);
      Listening l(form);
      l.faults.script(SocketOp::kAccept, l.fd(), {fail(error)});
      RawPeer client = dial(l.socket->address());
      REQUIRE(l.runner.until([&] { return l.log.stopped == 1; }));
      CHECK_EQ(l.errors(), std::vector{error});
      CHECK_EQ(l.runner.call([](NetHandler& h) { return h.open_count(); }), 0);
      CHECK_EQ(l.count(), 0);
    }
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
