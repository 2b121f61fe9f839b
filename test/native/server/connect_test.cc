// connect_re and connect_s: the outcome, once, with nothing left behind on failure.
#include <doctest/doctest.h>

#include "net/socket_ops.h"
#include "support/accept_log.h"
#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"

namespace netvc::test {

namespace {

// An address where nobody listens any more.
Address deserted(Family f = Family::kTcp4) {
  Ref<ListenSocket> s;
  REQUIRE_EQ(ListenSocket::open(loopback(f), {}, &s), 0);
  return s->address();
}

// A listener that accepts nobody, with its backlog full: a connect waits in the handshake.
struct Blackhole {
  Blackhole() {
    AcceptOptions o;
    o.backlog = 1;
    REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), o, &socket), 0);
    for (int i = 0; i < 4; ++i) {
      waiting.emplace_back(sock::stream_socket(AF_INET));
      sock::connect(waiting.back().get(), socket->address());
    }
  }
  Ref<ListenSocket> socket;
  std::vector<UniqueFd> waiting;
};

}  // namespace

TEST_CASE("CN-1 F-081: connect_re opens at once; the outcome shows in the VIOs") {
  LeakCheck leaks;
  Loop loop;
  Server server(loop);
  ConnectLog log;
  Recorder rec;
  Buf out("hello");
  log.react = [&](NetVConnection& vc) {
    CHECK_EQ(vc.context(), VcContext::kOutbound);
    CHECK_EQ(vc.remote_addr().url(), server.address().url());
    vc.do_io_write(&rec, 5, out.r);
  };
  connect_re(loop.h, server.address(), {}, &log);
  CHECK_EQ(log.opened, 1);  // before any turn
  REQUIRE(loop.until([&] { return rec.has(Event::kWriteComplete) && server.log.count() == 1; }));
  CHECK_EQ(loop.h.counters.connects.get(), 1);
  Acceptor::cancel(server.acceptor);
}

TEST_CASE("CN-6 B-13: connect_re refused - every armed side hears ERROR with ECONNREFUSED") {
  for (int sides : {1, 2, 3}) {
    CAPTURE(sides);
    LeakCheck leaks;
    Loop loop;
    ConnectLog log;
    Recorder rec;
    Buf in, out("hello");
    log.react = [&](NetVConnection& vc) {
      if (sides & 1) vc.do_io_read(&rec, VIO::kUnlimited, in.m);
      if (sides & 2) vc.do_io_write(&rec, 5, out.r);
    };
    connect_re(loop.h, deserted(), {}, &log);
    REQUIRE(loop.until([&] { return rec.count(Event::kError) == (sides == 3 ? 2 : 1); }));
    for (const Told& t : rec.told)
      CHECK_EQ(t.lerrno, ECONNREFUSED);
    CHECK_EQ(rec.told.size(), sides == 3 ? 2 : 1);
  }
}

TEST_CASE(
    "CN-6 NH-7: connect_re refused with nothing armed - told to the side that is armed later") {
  LeakCheck leaks;
  Loop loop;
  ConnectLog log;
  Recorder rec;
  Buf in;
  connect_re(loop.h, deserted(), {}, &log);
  loop.settle();
  REQUIRE(log.vc() != nullptr);
  log.vc()->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(rec.story(), "ERROR");
  CHECK_EQ(log.vc()->lerrno, ECONNREFUSED);
}

TEST_CASE("CN-7 F-082: connect_s opens when the peer has answered, with clean VIOs") {
  LeakCheck leaks;
  Loop loop;
  for (Family f : {Family::kTcp4, Family::kTcp6}) {
    Server server(loop, f);
    ConnectLog log;
    log.react = [&](NetVConnection& vc) {
      for (const VIO* vio : {&vc.read_vio, &vc.write_vio}) {
        CHECK_EQ(vio->op, Op::kNone);
        CHECK_FALSE(vio->enabled);
      }
      CHECK_FALSE(vc.connecting());
      CHECK_EQ(vc.remote_addr().url(), server.address().url());
      Address peer;
      CHECK(Address::peer_of(vc.get_socket(), &peer));
      vc.do_io_close();  // legal here (CL-7)
    };
    connect_s(loop.h, server.address(), {}, &log);
    CHECK_FALSE(log.told());
    REQUIRE(loop.until([&] { return log.told(); }));
    CHECK_EQ(log.opened, 1);
    Acceptor::cancel(server.acceptor);
  }
  CHECK_EQ(loop.h.timers.size(), 0);
}

TEST_CASE("CN-7 CN-2: connect_s refused - one failure, the real errno beside it, nothing left") {
  for (Family f : {Family::kTcp4, Family::kTcp6}) {
    LeakCheck leaks;
    Loop loop;
    ConnectLog log;
    connect_s(loop.h, deserted(f), {}, &log);
    REQUIRE(loop.until([&] { return log.told(); }));
    CHECK_EQ(log.failed, 1);
    CHECK_EQ(log.error.code, ENET_CONNECT_FAILED);
    CHECK_EQ(log.error.error_number, ECONNREFUSED);
    CHECK_EQ(loop.h.open_count(), 0);
    CHECK_EQ(loop.h.timers.size(), 0);
    CHECK_EQ(leaks.connections(), 0);
    CHECK_EQ(loop.h.counters.connect_failures.get(), 1);
    loop.settle();
    CHECK_EQ(log.opened + log.failed, 1);
  }
}

TEST_CASE("CN-7: connect_s into a full backlog ends by its timeout") {
  LeakCheck leaks;
  Blackhole hole;
  Loop loop;
  ConnectLog log;
  const Nanos start = monotonic_now();
  connect_s(loop.h, hole.socket->address(), {}, &log, 50 * kMillisecond);
  REQUIRE(loop.until([&] { return log.told(); }));
  CHECK_GE(monotonic_now() - start, 50 * kMillisecond);
  CHECK_EQ(log.failed, 1);
  CHECK_EQ(log.error.code, ENET_CONNECT_TIMEOUT);
  CHECK_EQ(log.error.error_number, ETIMEDOUT);
  CHECK_EQ(loop.h.open_count(), 0);
}

TEST_CASE("CN-5: readiness of the time before the connect is not taken for its end") {
  LeakCheck leaks;
  Blackhole hole;
  Loop loop;
  ConnectLog log;
  ConnectAction action = connect_s(loop.h, hole.socket->address(), {}, &log);
  loop.h.first_open()->on_poll(kPollOut | kPollHup);  // as an unconnected socket reports
  loop.settle();
  CHECK_FALSE(log.told());
  action.cancel();
}

TEST_CASE("CN-7: without a timeout no timer runs") {
  LeakCheck leaks;
  Blackhole hole;
  Loop loop;
  ConnectLog log;
  ConnectAction action = connect_s(loop.h, hole.socket->address(), {}, &log, 0);
  loop.settle();
  CHECK_EQ(loop.h.timers.size(), 0);
  CHECK_FALSE(log.told());
  action.cancel();
}

TEST_CASE("CN-2 F-081: cancelled while it is under way - silence, and nothing left") {
  LeakCheck leaks;
  Blackhole hole;
  Loop loop;
  ConnectLog log;
  ConnectAction action = connect_s(loop.h, hole.socket->address(), {}, &log);
  loop.settle();
  CHECK_EQ(loop.h.open_count(), 1);
  action.cancel();
  CHECK_EQ(loop.h.open_count(), 0);
  CHECK_EQ(loop.h.timers.size(), 0);
  CHECK_EQ(leaks.connections(), 0);
  loop.settle();
  CHECK_FALSE(log.told());
  action.cancel();
}

TEST_CASE("CN-2: cancelling after the callback does nothing to the connection") {
  LeakCheck leaks;
  Loop loop;
  Server server(loop);
  ConnectLog log;
  ConnectAction action = connect_s(loop.h, server.address(), {}, &log);
  REQUIRE(loop.until([&] { return log.told(); }));
  action.cancel();
  CHECK(log.vc() != nullptr);
  ConnectLog again;
  ConnectAction at_once = connect_re(loop.h, server.address(), {}, &again);
  at_once.cancel();
  CHECK(again.vc() != nullptr);
  loop.settle();
  Acceptor::cancel(server.acceptor);
}

TEST_CASE("CN-2 SK-4: a pending connect that is closed or failed by its id is told, once") {
  struct How {
    const char* name;
    void (*end)(NetVConnection& vc);
    int code;
  };
  const How ways[] = {
      {"do_io_close", [](NetVConnection& vc) { vc.do_io_close(); }, ENET_CLOSED},
      {"with an errno", [](NetVConnection& vc) { vc.do_io_close(ECONNRESET); }, ENET_CLOSED},
      {"close_gracefully", [](NetVConnection& vc) { vc.close_gracefully(kSecond); }, ENET_CLOSED},
      {"close_with_reset", [](NetVConnection& vc) { vc.close_with_reset(); }, ENET_CLOSED},
      {"set_failed",
       [](NetVConnection& vc) {
         NetVConnection::set_failed(NetVConnection::pool().address(vc.id()), EPROTO, "why");
       },
       EPROTO},
  };
  for (const How& how : ways) {
    CAPTURE(how.name);
    LeakCheck leaks;
    Blackhole hole;
    Loop loop;
    ConnectLog log;
    const VersionedId id = connect_s(loop.h, hole.socket->address(), {}, &log).id();
    {
      VcPool::Handle vc = NetVConnection::pool().address(id);
      REQUIRE(vc);
      how.end(*vc);
    }
    loop.settle();
    CHECK_EQ(log.failed, 1);
    CHECK_EQ(log.opened, 0);
    CHECK_EQ(log.error.code, how.code);
    CHECK_EQ(log.error.id, id);
    CHECK_EQ(log.error.reason != nullptr, how.code == EPROTO);
    CHECK_EQ(loop.h.timers.size(), 0);
    CHECK_EQ(leaks.connections(), 0);
  }
}

TEST_CASE("INV-27: the handler's shutdown settles pending connects, once") {
  LeakCheck leaks;
  Blackhole hole;
  Loop loop;
  ConnectLog log;
  connect_s(loop.h, hole.socket->address(), {}, &log);
  loop.h.shut_down();
  CHECK_EQ(log.failed, 1);
  CHECK_EQ(log.error.code, ECANCELED);
  CHECK_EQ(leaks.connections(), 0);
}

TEST_CASE("CN-1: callbacks are re-entrant: a connect inside on_open and inside on_open_failed") {
  LeakCheck leaks;
  Loop loop;
  Server server(loop);
  ConnectLog first, second, third;
  first.react = [&](NetVConnection& vc) {
    vc.do_io_close();
    connect_re(loop.h, server.address(), {}, &second);
  };
  second.react = [&](NetVConnection&) { connect_s(loop.h, server.address(), {}, &third); };
  connect_re(loop.h, server.address(), {}, &first);
  REQUIRE(loop.until([&] { return third.told(); }));
  CHECK_EQ(third.opened, 1);
  Acceptor::cancel(server.acceptor);
}

TEST_CASE("messages queued inside on_open of connect_re leave when the connection is there") {
  LeakCheck leaks;
  Loop loop;
  Server server(loop);
  ConnectLog log;
  Recorder rec;
  Buf in;
  log.react = [](NetVConnection& vc) {
    CHECK(vc.queue_write("first ", 6));
    CHECK(vc.write_now("second", 6));
  };
  server.log.react = [&](NetVConnection& vc) { vc.do_io_read(&rec, 12, in.m); };
  connect_re(loop.h, server.address(), {}, &log);
  REQUIRE(loop.until([&] { return rec.has(Event::kReadComplete); }));
  CHECK_EQ(in.take(), "first second");
  Acceptor::cancel(server.acceptor);
}

}  // namespace netvc::test
