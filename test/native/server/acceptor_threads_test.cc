// Acceptors and net threads: one dedicated thread that hands over, and a socket shared by all.
#include <atomic>
#include <latch>
#include <map>
#include <mutex>
#include <vector>

#include <doctest/doctest.h>

#include "support/accept_log.h"
#include "support/leak_check.h"
#include "support/net_threads.h"

namespace netvc::test {

namespace {

// Counts deliveries per thread; closes what it gets.
struct ThreadLog final : AcceptHandler {
  void on_accept(NetVConnection& vc) override {
    CHECK(vc.handler->in_thread());
    CHECK_EQ(vc.home(), vc.handler);
    CHECK_EQ(stopped.load(), 0);
    {
      std::lock_guard lock(mutex);
      ++per_handler[vc.handler];
    }
    accepted.fetch_add(1);
    vc.do_io_close();
  }
  void on_accept_error(int) override { errors.fetch_add(1); }
  void on_accept_stopped() override { stopped.fetch_add(1); }

  std::mutex mutex;
  std::map<NetHandler*, int> per_handler;
  std::atomic<int> accepted{0}, errors{0}, stopped{0};
};

void start_on(NetHandler& h, Ref<Acceptor> a, bool exclusive) {
  on(h, [&](NetHandler& here) {
    a->start(here, exclusive);
    return 0;
  });
}

}  // namespace

TEST_CASE("AC-1 AC-3 F-073: a dedicated thread hands connections to the others, round robin") {
  LeakCheck leaks;
  ThreadLog log;
  NetThreads threads(4);
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
  size_t next = 0;
  Ref<Acceptor> a(
      new Acceptor(socket, &log, [&]() -> NetHandler& { return threads[1 + next++ % 3]; }));
  start_on(threads[0], a, false);
  std::vector<RawPeer> clients;
  for (int i = 0; i < 30; ++i)
    clients.push_back(dial(socket->address()));
  REQUIRE(wait_for([&] { return log.accepted == 30; }));
  Acceptor::cancel(a);
  REQUIRE(wait_for([&] { return log.stopped == 1; }));
  std::lock_guard lock(log.mutex);
  CHECK_EQ(log.per_handler.size(), 3);
  for (const auto& [h, n] : log.per_handler)
    CHECK_EQ(n, 10);
}

TEST_CASE("AC-1 AC-4 F-074: one socket on every thread; each connection is delivered once") {
  LeakCheck leaks;
  NetThreads threads(3);
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
  const Address at = socket->address();
  std::vector<std::unique_ptr<ThreadLog>> logs;
  std::vector<Ref<Acceptor>> acceptors;
  for (size_t i = 0; i < 3; ++i) {
    logs.push_back(std::make_unique<ThreadLog>());
    NetHandler* own = &threads[i];
    acceptors.emplace_back(
        new Acceptor(socket, logs[i].get(), [own]() -> NetHandler& { return *own; }));
    start_on(*own, acceptors[i], true);
  }
  socket.reset();
  std::vector<RawPeer> clients;
  for (int i = 0; i < 200; ++i)
    clients.push_back(dial(at));
  const auto total = [&] { return logs[0]->accepted + logs[1]->accepted + logs[2]->accepted; };
  REQUIRE(wait_for([&] { return total() == 200; }));
  for (auto& c : clients)
    CHECK(wait_fd(c.fd(), POLLIN));
  for (size_t i = 0; i < 3; ++i) {
    Acceptor::cancel(acceptors[i]);
    REQUIRE(wait_for([&] { return logs[i]->stopped == 1; }));
    for (const auto& [h, n] : logs[i]->per_handler)
      CHECK_EQ(h, &threads[i]);
  }
  CHECK_EQ(total(), 200);
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
  CHECK_EQ(::connect(fd.get(), at.sa(), at.len()), -1);  // the last one closed the socket
}

TEST_CASE(
    "AC-1 AC-4 F-074: every thread accepts: the one that is free, while the others are busy") {
  LeakCheck leaks;
  NetThreads threads(3);
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
  std::vector<std::unique_ptr<ThreadLog>> logs;
  std::vector<Ref<Acceptor>> acceptors;
  for (size_t i = 0; i < 3; ++i) {
    logs.push_back(std::make_unique<ThreadLog>());
    NetHandler* own = &threads[i];
    acceptors.emplace_back(
        new Acceptor(socket, logs[i].get(), [own]() -> NetHandler& { return *own; }));
    start_on(*own, acceptors[i], true);
  }
  for (size_t free = 0; free < 3; ++free) {
    CAPTURE(free);
    // Shared, since a thread can still be on its way out of over when the next round begins.
    struct Gate {
      std::latch busy{2};
      std::latch over{1};
    };
    const auto gate = std::make_shared<Gate>();
    for (size_t i = 0; i < 3; ++i) {
      if (i == free) continue;
      threads[i].post([gate](NetHandler&) {
        gate->busy.count_down();
        gate->over.wait();
      });
    }
    gate->busy.wait();
    std::vector<RawPeer> clients;
    for (int i = 0; i < 5; ++i)
      clients.push_back(dial(socket->address()));
    const bool all = wait_for([&] { return logs[free]->accepted == 5; });
    gate->over.count_down();
    CHECK(all);
    logs[free]->accepted = 0;
  }
  for (size_t i = 0; i < 3; ++i) {
    CHECK_EQ(logs[i]->accepted, 0);
    Acceptor::cancel(acceptors[i]);
    REQUIRE(wait_for([&] { return logs[i]->stopped == 1; }));
  }
}

TEST_CASE(
    "AC-7 B-20: cancel races with connections on their way; told ones are told before the stop") {
  for (int round = 0; round < 20; ++round) {
    LeakCheck leaks;
    ThreadLog log;  // on_accept checks that stopped is still 0
    NetThreads threads(3);
    Ref<ListenSocket> socket;
    REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
    const Address at = socket->address();
    Ref<Acceptor> a(
        new Acceptor(socket, &log, [&]() -> NetHandler& { return threads.pool.next(); }));
    threads[0].post([a](NetHandler& h) { a->start(h, false); });
    socket.reset();
    std::vector<RawPeer> clients;
    for (int i = 0; i < 40; ++i) {
      if (i == round * 2) Acceptor::cancel(a);
      UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      if (::connect(fd.get(), at.sa(), at.len()) == 0 || errno == EINPROGRESS) {
        clients.emplace_back(std::move(fd));
      }
    }
    REQUIRE(wait_for([&] { return log.stopped == 1; }));
    a.reset();
    threads.stop();
    CHECK_EQ(log.stopped, 1);
    CHECK_EQ(log.errors, 0);
  }
}

TEST_CASE("INV-27 INV-12: stopping the pool with connections on their way between threads") {
  for (int round = 0; round < 30; ++round) {
    LeakCheck leaks;
    ThreadLog log;
    NetThreads threads(3);
    Ref<ListenSocket> socket;
    REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
    const Address at = socket->address();
    // The last thread hands over to those that are stopped before it.
    size_t next = 0;
    Ref<Acceptor> a(
        new Acceptor(socket, &log, [&]() -> NetHandler& { return threads[next++ % 2]; }));
    start_on(threads[2], a, false);
    socket.reset();
    std::vector<RawPeer> clients;
    for (int i = 0; i < 60; ++i) {
      UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      (void)::connect(fd.get(), at.sa(), at.len());
      clients.emplace_back(std::move(fd));
      if (i == 30) threads.stop();
    }
    CHECK_EQ(log.stopped, 1);
  }
}

}  // namespace netvc::test
