// Failures of socket(2) and connect(2): each is told once with its errno, and leaves nothing
// (CN-2).
#include <doctest/doctest.h>

#include "support/accept_log.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/temp_dir.h"

namespace netvc::test {

TEST_CASE(
    "CN-2 4.5: failures of socket(2) and connect(2) are told with their errno, synchronously") {
  for (SocketOp op : {SocketOp::kSocket, SocketOp::kConnect}) {
    for (int error : {EMFILE, ENFILE, ENOBUFS, EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH}) {
      CAPTURE(error);
      LeakCheck leaks;
      Faults faults;
      Loop loop;
      ConnectLog log;
      faults.script(op, Faults::kAnyFd, {fail(error), fail(error)});
      connect_s(loop.h, loopback(Family::kTcp4, 9), {}, &log);
      CHECK_EQ(log.failed, 1);
      CHECK_EQ(log.error.code, error);
      CHECK_EQ(log.error.error_number, error);
      connect_re(loop.h, loopback(Family::kTcp4, 9), {}, &log);
      CHECK_EQ(log.failed, 2);
      CHECK_EQ(loop.h.open_count(), 0);
      CHECK_EQ(leaks.connections(), 0);
    }
  }
}

TEST_CASE("CN-2 4.5: EINTR from connect is an attempt in progress") {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  Server server(loop);
  ConnectLog log;
  faults.script(SocketOp::kConnect, Faults::kAnyFd, {fail(EINTR)});
  connect_s(loop.h, server.address(), {}, &log);
  REQUIRE(loop.until([&] { return log.told(); }));
  CHECK_EQ(log.opened, 1);
  Acceptor::cancel(server.acceptor);
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

}  // namespace netvc::test
