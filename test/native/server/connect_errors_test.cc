// Failures of socket(2) and connect(2): each is told once with its errno, and leaves nothing
// (CN-2).
#include <doctest/doctest.h>

#include "support/accept_log.h"
#include "support/fault_injector.h"
#include "support/forms.h"
#include "support/leak_check.h"
#include "support/no_memory.h"
#include "support/temp_dir.h"

namespace netvc::test {

TEST_CASE(
    "CN-2 4.5: failures of socket(2) and connect(2) are told with their errno, synchronously") {
  for (const Form form : kForms) {
    CAPTURE(name_of(form));
    for (SocketOp op : {SocketOp::kSocket, SocketOp::kConnect}) {
      for (int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH,
                        ECONNREFUSED, ETIMEDOUT, EACCES}) {
        CAPTURE(error);
        LeakCheck leaks;
        Faults faults;
        ConnectLog log;
        Runner runner(form);
        faults.script(op, Faults::kAnyFd, {fail(error), fail(error)});
        runner.call([&](NetHandler& h) {
          connect_s(h, loopback(Family::kTcp4, 9), {}, &log);
          CHECK_EQ(log.failed, 1);
          CHECK_EQ(log.error.code, error);
          CHECK_EQ(log.error.error_number, error);
          connect_re(h, loopback(Family::kTcp4, 9), {}, &log);
          CHECK_EQ(log.failed, 2);
          CHECK_EQ(log.opened, 0);
          CHECK_EQ(h.open_count(), 0);
          CHECK_EQ(h.timers.size(), 0);
        });
        CHECK_EQ(leaks.connections(), 0);
        CHECK_EQ(faults.left(), 0);
      }
    }
  }
}

TEST_CASE("CN-2 4.5: 0 and EINTR from connect are an attempt in progress, which opens") {
  for (const Form form : kForms) {
    for (const int interrupted : {0, 1, 3}) {
      LeakCheck leaks;
      Faults faults;
      ConnectLog log;
      Runner runner(form);
      Ref<ListenSocket> socket;
      REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
      for (int i = 0; i < interrupted; ++i)
        faults.script(SocketOp::kConnect, Faults::kAnyFd, {fail(EINTR)});
      runner.call([&](NetHandler& h) { connect_s(h, socket->address(), {}, &log); });
      REQUIRE(runner.until([&] { return log.told(); }));
      CHECK_EQ(log.opened, 1);
      CHECK_EQ(faults.calls(SocketOp::kConnect), interrupted + 1);
    }
  }
}

TEST_CASE("CN-7 4.5: EINPROGRESS that stays one ends by the timeout") {
  for (const Form form : kForms) {
    LeakCheck leaks;
    Faults faults;
    ConnectLog log;
    Runner runner(form);
    faults.script(SocketOp::kConnect, Faults::kAnyFd, {fail(EINPROGRESS)});
    const Nanos start = monotonic_now();
    runner.call([&](NetHandler& h) {
      connect_s(h, loopback(Family::kTcp4, 9), {}, &log, 20 * kMillisecond);
      CHECK_FALSE(log.told());
      CHECK_EQ(h.open_count(), 1);
    });
    REQUIRE(runner.until([&] { return log.told(); }));
    CHECK_GE(monotonic_now() - start, 20 * kMillisecond);
    CHECK_EQ(log.failed, 1);
    CHECK_EQ(log.error.code, ENET_CONNECT_TIMEOUT);
  }
}

TEST_CASE("CN-2: unix - no such file, nobody listening, backlog full") {
  LeakCheck leaks;
  TempDir dir;
  Loop loop;
  Address at;
  REQUIRE(Address::from_unix(dir.path("s"), &at));
  const auto outcome = [&] {
    ConnectLog log;
    connect_s(loop.h, at, {}, &log, kSecond);
    REQUIRE(loop.until([&] { return log.told(); }));
    if (log.vc()) log.vc()->do_io_close();
    return log.opened ? 0 : log.error.error_number;
  };
  CHECK_EQ(outcome(), ENOENT);
  {
    UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    REQUIRE_EQ(::bind(dead.get(), at.sa(), at.len()), 0);
  }
  CHECK_EQ(outcome(), ECONNREFUSED);
  AcceptOptions o;
  o.backlog = 1;
  Ref<ListenSocket> s;
  REQUIRE_EQ(ListenSocket::open(at, o, &s), 0);
  CHECK_EQ(outcome(), 0);
  int last = 0;
  for (int i = 0; i < 10 && last == 0; ++i)
    last = outcome();
  CHECK_EQ(last, EAGAIN);
}

TEST_CASE("CN-2 CN-8: without memory connecting is ENOMEM; a given descriptor stays its owner's") {
  LeakCheck leaks;
  Loop loop;
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
  FdPair p = fd_pair(Family::kUnix);
  ConnectLog logs[3];
  {
    NoMemory none;
    none.fill_connections();
    connect_re(loop.h, socket->address(), {}, &logs[0]);
    connect_s(loop.h, socket->address(), {}, &logs[1]);
    connect_up(loop.h, p.a.get(), &logs[2]);
  }
  for (const ConnectLog& log : logs) {
    CHECK_EQ(log.failed, 1);
    CHECK_EQ(log.opened, 0);
    CHECK_EQ(log.error.code, ENOMEM);
    CHECK_EQ(log.error.error_number, ENOMEM);
  }
  CHECK_EQ(leaks.connections(), 0);
  CHECK_EQ(leaks.sockets(), 0);
  CHECK_EQ(loop.h.open_count(), 0);
  ConnectLog later;
  connect_up(loop.h, p.a.get(), &later);
  CHECK_EQ(later.opened, 1);
  CHECK_EQ(later.vc()->get_socket(), p.a.release());
  later.vc()->do_io_close();
}

}  // namespace netvc::test
