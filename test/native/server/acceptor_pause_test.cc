// Acceptor: pause() and resume(), on its thread and from another.
#include <doctest/doctest.h>

#include "support/accept_log.h"
#include "support/leak_check.h"
#include "support/net_threads.h"

namespace netvc::test {

namespace {

std::vector<RawPeer> dial_many(const Address& to, int n) {
  std::vector<RawPeer> peers;
  for (int i = 0; i < n; ++i)
    peers.push_back(dial(to));
  return peers;
}

}  // namespace

TEST_CASE("paused: nobody is accepted; resume() takes those who came meanwhile") {
  LeakCheck leaks;
  Loop loop;
  Server s(loop);
  loop.settle();
  s.acceptor->pause();
  const auto early = dial_many(s.address(), 3);
  loop.settle();
  CHECK_EQ(s.log.count(), 0);
  CHECK_FALSE(loop.h.has_work());  // it does not turn for those who wait
  Acceptor::resume(s.acceptor, Acceptor::Until::kPaused);
  REQUIRE(loop.until([&] { return s.log.count() == 3; }));
  const auto later = dial_many(s.address(), 2);
  REQUIRE(loop.until([&] { return s.log.count() == 5; }));
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("pause() in on_accept: nobody else of this wake-up") {
  LeakCheck leaks;
  Loop loop;
  Server s(loop);
  s.log.react = [&](NetVConnection&) { s.acceptor->pause(); };
  const auto clients = dial_many(s.address(), 10);
  REQUIRE(loop.until([&] { return s.log.count() > 0; }));
  loop.settle();
  CHECK_EQ(s.log.count(), 1);
  Acceptor::resume(s.acceptor, Acceptor::Until::kPaused);
  loop.settle();
  CHECK_EQ(s.log.count(), 2);
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("paused before it was started, and resumed before") {
  LeakCheck leaks;
  Loop loop;
  for (const bool resumed : {false, true}) {
    AcceptLog log;
    Ref<ListenSocket> socket;
    REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
    Ref<Acceptor> a(new Acceptor(socket, &log, [&]() -> NetHandler& { return loop.h; }));
    a->pause();
    if (resumed) Acceptor::resume(a, Acceptor::Until::kPaused);
    RawPeer client = dial(socket->address());
    a->start(loop.h, false);
    loop.settle();
    CHECK_EQ(log.count(), resumed ? 1 : 0);
    Acceptor::cancel(a);
    CHECK_EQ(log.stopped, 1);
  }
}

TEST_CASE("until somebody came: one wake-up's portion, each time") {
  LeakCheck leaks;
  Loop loop;
  AcceptOptions o;
  o.accepts_per_wakeup = 4;
  Server s(loop, loopback(Family::kTcp4), o);
  s.acceptor->pause();
  auto clients = dial_many(s.address(), 10);
  for (const size_t expected : {4u, 8u, 10u}) {
    Acceptor::resume(s.acceptor, Acceptor::Until::kSomebodyCame);
    loop.settle();
    CHECK_EQ(s.log.count(), expected);
  }
  // Nobody waits: it stays open until somebody comes.
  Acceptor::resume(s.acceptor, Acceptor::Until::kSomebodyCame);
  loop.settle();
  clients.push_back(dial(s.address()));
  REQUIRE(loop.until([&] { return s.log.count() == 11; }));
  clients.push_back(dial(s.address()));
  loop.settle();
  CHECK_EQ(s.log.count(), 11);
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("until somebody came: asked for again in on_accept, it goes on") {
  LeakCheck leaks;
  Loop loop;
  AcceptOptions o;
  o.accepts_per_wakeup = 2;
  Server s(loop, loopback(Family::kTcp4), o);
  s.acceptor->pause();
  s.log.react = [&](NetVConnection&) {
    if (s.log.count() < 3) Acceptor::resume(s.acceptor, Acceptor::Until::kSomebodyCame);
  };
  const auto clients = dial_many(s.address(), 10);
  Acceptor::resume(s.acceptor, Acceptor::Until::kSomebodyCame);
  loop.settle();
  CHECK_EQ(s.log.count(), 4);  // two wake-ups: the second one was not asked for again at its end
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("a pause outlasts the one of a limit") {
  LeakCheck leaks;
  Loop loop;
  AcceptOptions o;
  o.admission = Ref<Admission>(new Admission({.connections = 1}));
  Server s(loop, loopback(Family::kTcp4), o);
  const auto clients = dial_many(s.address(), 2);
  REQUIRE(loop.until([&] { return s.log.count() == 1 && loop.h.timers.size() == 1; }));
  s.acceptor->pause();
  s.log.at(0)->do_io_close();
  REQUIRE(loop.until([&] { return loop.h.timers.size() == 0; }));
  loop.settle();
  CHECK_EQ(s.log.count(), 1);
  Acceptor::resume(s.acceptor, Acceptor::Until::kPaused);
  REQUIRE(loop.until([&] { return s.log.count() == 2; }));
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("paused and cancelled: the port is free") {
  LeakCheck leaks;
  Loop loop;
  Server s(loop);
  s.acceptor->pause();
  RawPeer client = dial(s.address());
  loop.settle();
  Acceptor::cancel(s.acceptor);
  s.socket.reset();
  CHECK_EQ(s.log.stopped, 1);
  Acceptor::resume(s.acceptor, Acceptor::Until::kPaused);
  loop.settle();
  CHECK_EQ(s.log.count(), 0);
}

TEST_CASE("from another thread: after pause() at most the one under way") {
  LeakCheck leaks;
  struct Log final : AcceptHandler {
    void on_accept(NetVConnection& vc) override {
      vc.do_io_close();
      accepted.fetch_add(1);
    }
    void on_accept_error(int) override {}
    void on_accept_stopped() override { stopped.fetch_add(1); }
    std::atomic<int> accepted{0}, stopped{0};
  } log;
  NetThreads threads(1);
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
  Ref<Acceptor> a(new Acceptor(socket, &log, [&]() -> NetHandler& { return threads[0]; }));
  a->pause();
  on(threads[0], [&](NetHandler& here) {
    a->start(here, false);
    return 0;
  });
  int sent = 0;
  std::vector<RawPeer> clients;
  const auto more = [&](int n) {
    for (auto& peer : dial_many(socket->address(), n))
      clients.push_back(std::move(peer));
    sent += n;
  };
  more(100);
  CHECK_EQ(log.accepted.load(), 0);
  for (int round = 0; round < 20; ++round) {
    const int before = log.accepted.load();
    Acceptor::resume(a, Acceptor::Until::kPaused);
    REQUIRE(wait_for([&] { return log.accepted > before; }));
    a->pause();
    const int at_pause = log.accepted.load();
    more(20);
    on(threads[0], [](NetHandler&) { return 0; });
    CHECK_LE(log.accepted.load(), at_pause + 1);  // whose accept was under way
  }
  // Asking again and again for the next loses nobody.
  while (log.accepted < sent) {
    const int had = log.accepted.load();
    Acceptor::resume(a, Acceptor::Until::kSomebodyCame);
    REQUIRE(wait_for([&] { return log.accepted > had; }));
  }
  Acceptor::cancel(a);
  REQUIRE(wait_for([&] { return log.stopped == 1; }));
}

}  // namespace netvc::test
