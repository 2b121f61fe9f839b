// The epoll back end by itself.
#include <sys/eventfd.h>

#include <fstream>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "poll/poller.h"
#include "support/leak_check.h"
#include "support/raw_peer.h"
#include "support/temp_dir.h"

namespace netvc::test {

namespace {

struct Seen final : Pollable {
  void on_poll(uint32_t f) override {
    ++times;
    flags |= f;
  }
  int times = 0;
  uint32_t flags = 0;
};

struct Fixture {
  LeakCheck leaks;
  int error = -1;
  std::unique_ptr<Poller> poller = Poller::create(&error);
  Seen seen;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "NH-5 F-052: registered once, each edge is told once") {
  CHECK_EQ(error, 0);
  FdPair p = fd_pair(Family::kTcp4);
  RawPeer peer(std::move(p.b));
  CHECK_EQ(poller->add(p.a.get(), &seen, Interest::kStream), 0);
  CHECK_EQ(poller->wait(0), 1);
  CHECK_EQ(seen.flags, kPollOut);
  CHECK_EQ(poller->wait(0), 0);
  peer.send("x");
  CHECK_EQ(poller->wait(1000), 1);
  CHECK((seen.flags & kPollIn) != 0);
  CHECK_EQ(poller->wait(0), 0);  // unread, yet no new edge
  peer.send("y");
  CHECK_EQ(poller->wait(1000), 1);
  peer.shutdown(SHUT_WR);
  CHECK_EQ(poller->wait(1000), 1);
  CHECK((seen.flags & kPollRdHup) != 0);
  peer.reset();
  CHECK_EQ(poller->wait(1000), 1);
  CHECK((seen.flags & kPollHup) != 0);
}

TEST_CASE_FIXTURE(Fixture, "a removed descriptor is silent, and may be added again") {
  FdPair p = fd_pair(Family::kUnix);
  RawPeer peer(std::move(p.b));
  poller->add(p.a.get(), &seen, Interest::kStream);
  poller->remove(p.a.get());
  peer.send("x");
  CHECK_EQ(poller->wait(0), 0);
  CHECK_EQ(poller->add(p.a.get(), &seen, Interest::kStream), 0);
  CHECK_EQ(poller->wait(0), 1);  // readiness from before is told
  CHECK((seen.flags & kPollIn) != 0);
}

TEST_CASE_FIXTURE(Fixture, "B-53: what cannot be polled is an errno, not 0") {
  TempDir dir;
  std::ofstream(dir.path("file")) << "x";
  const UniqueFd file(::open(dir.path("file").c_str(), O_RDONLY | O_CLOEXEC));
  CHECK_EQ(poller->add(file.get(), &seen, Interest::kStream), EPERM);
  CHECK_EQ(poller->add(1'000'000, &seen, Interest::kStream), EBADF);
}

TEST_CASE_FIXTURE(Fixture, "MG-2: a descriptor that is registered already counts as added") {
  FdPair p = fd_pair(Family::kUnix);
  CHECK_EQ(poller->add(p.a.get(), &seen, Interest::kStream), 0);
  CHECK_EQ(poller->add(p.a.get(), &seen, Interest::kStream), 0);
}

TEST_CASE_FIXTURE(Fixture, "wake ends a wait, before it and during it, each time anew") {
  for (int i = 0; i < 3; ++i) {
    poller->wake();
    CHECK_EQ(poller->wait(-1), 1);
    CHECK_EQ(poller->wait(0), 0);
  }
  std::thread other([&] { poller->wake(); });
  CHECK_EQ(poller->wait(-1), 1);
  other.join();
}

TEST_CASE_FIXTURE(Fixture, "wakes are coalesced: many writes, one event") {
  for (int i = 0; i < 1000; ++i)
    poller->wake();
  CHECK_EQ(poller->wait(0), 1);
  CHECK_EQ(poller->wait(0), 0);
}

TEST_CASE_FIXTURE(Fixture, "nested_fd is readable exactly while a wait(0) would find something") {
  CHECK_FALSE(wait_fd(poller->nested_fd(), POLLIN, 0));
  poller->wake();
  CHECK(wait_fd(poller->nested_fd(), POLLIN, 0));
  poller->wait(0);
  CHECK_FALSE(wait_fd(poller->nested_fd(), POLLIN, 0));
  FdPair p = fd_pair(Family::kUnix);
  poller->add(p.a.get(), &seen, Interest::kStream);
  CHECK(wait_fd(poller->nested_fd(), POLLIN, 0));
}

TEST_CASE_FIXTURE(Fixture, "a closed descriptor leaves no event behind") {
  FdPair p = fd_pair(Family::kUnix);
  poller->add(p.a.get(), &seen, Interest::kStream);
  ::send(p.b.get(), "x", 1, 0);
  poller->remove(p.a.get());
  p.a.reset();
  CHECK_EQ(poller->wait(0), 0);
}

TEST_CASE("AC-1: an exclusive listener wakes one of the pollers that share it") {
  LeakCheck leaks;
  const Address any = loopback(Family::kTcp4);
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  REQUIRE_EQ(::bind(listener.get(), any.sa(), any.len()), 0);
  REQUIRE_EQ(::listen(listener.get(), 16), 0);
  Address at;
  REQUIRE(Address::local_of(listener.get(), &at));
  int error = 0;
  auto a = Poller::create(&error), b = Poller::create(&error);
  Seen by_a, by_b;
  REQUIRE_EQ(a->add(listener.get(), &by_a, Interest::kAcceptExclusive), 0);
  REQUIRE_EQ(b->add(listener.get(), &by_b, Interest::kAcceptExclusive), 0);
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE_EQ(::connect(client.get(), at.sa(), at.len()), 0);
  a->wait(0);
  b->wait(0);
  CHECK_GE(by_a.times + by_b.times, 1);
}

}  // namespace netvc::test
