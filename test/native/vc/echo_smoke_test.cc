// Everything once: listen, connect_s, accept, both VIOs, half-close, close; on a handler that the
// test drives, and on net threads.
#include <doctest/doctest.h>

#include "support/echo.h"
#include "support/leak_check.h"
#include "support/net_threads.h"
#include "support/temp_dir.h"

namespace netvc::test {

namespace {

Address echo_address(Family f, const TempDir& dir) {
  if (f != Family::kUnix) return loopback(f);
  Address a;
  REQUIRE(Address::from_unix(dir.path("echo"), &a));
  return a;
}

void echo_inline(Family f, size_t bytes) {
  CAPTURE(name_of(f));
  LeakCheck leaks;
  TempDir dir;
  EchoServer server;
  EchoClient client(bytes);
  Loop loop;
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(echo_address(f, dir), {}, &socket), 0);
  Ref<Acceptor> acceptor(new Acceptor(socket, &server, [&]() -> NetHandler& { return loop.h; }));
  acceptor->start(loop.h, false);

  connect_s(loop.h, socket->address(), {}, &client);
  REQUIRE(loop.until([&] { return client.done.load(); }));
  CHECK_EQ(client.error, 0);
  CHECK_EQ(client.right, bytes);
  CHECK_EQ(client.endings(), "WC EOS");
  CHECK(loop.until([&] { return server.live == 0; }));
  CHECK_EQ(server.accepted, 1);
  Acceptor::cancel(acceptor);
  CHECK_EQ(server.stopped, 1);
  loop.settle();
  CHECK_EQ(loop.h.open_count(), 0);
}

void echo_threads(Family f, size_t bytes) {
  CAPTURE(name_of(f));
  LeakCheck leaks;
  TempDir dir;
  EchoServer server;
  NetThreads threads(3);
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(echo_address(f, dir), {}, &socket), 0);
  Ref<Acceptor> acceptor(
      new Acceptor(socket, &server, [&]() -> NetHandler& { return threads.pool.next(); }));
  on(threads[0], [&](NetHandler& h) {
    acceptor->start(h, false);
    return 0;
  });

  constexpr int kClients = 6;
  std::vector<std::unique_ptr<EchoClient>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<EchoClient>(bytes));
    NetHandler& h = threads.pool.next();
    h.post([&, c = clients.back().get()](NetHandler& here) {
      connect_s(here, socket->address(), {}, c);
    });
  }
  for (auto& c : clients) {
    REQUIRE(wait_for([&] { return c->done.load(); }));
    CHECK_EQ(c->error, 0);
    CHECK_EQ(c->right, bytes);
  }
  CHECK(wait_for([&] { return server.live == 0; }));
  CHECK_EQ(server.accepted, kClients);
  Acceptor::cancel(acceptor);
  CHECK(wait_for([&] { return server.stopped == 1; }));
  threads.stop();
}

}  // namespace

TEST_CASE(
    "echo on an inline handler: connect_s, accept, VIOs, half-close (AC-4 CN-7 INV-4 INV-17)") {
  for (Family f : {Family::kTcp4, Family::kTcp6, Family::kUnix}) {
    echo_inline(f, 1);
    echo_inline(f, 100'000);
    echo_inline(f, 5'000'000);
  }
}

TEST_CASE("echo on net threads: the same over several connections (F-054 INV-4)") {
  for (Family f : {Family::kTcp4, Family::kUnix}) {
    echo_threads(f, 1);
    echo_threads(f, 1'000'000);
  }
}

}  // namespace netvc::test
